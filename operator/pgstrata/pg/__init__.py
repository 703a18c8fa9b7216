"""Talking to PostgreSQL: sessions, catalog readers, SQL texts. psycopg is imported here alone."""
