"""Talking to PostgreSQL: sessions, locks, catalog readers, SQL texts. psycopg is imported here alone."""
