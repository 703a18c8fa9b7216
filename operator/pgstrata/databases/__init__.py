"""ManagedDatabase: how to reach a database and how to treat it."""
