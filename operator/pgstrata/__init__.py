"""pgstrata looks after the life of a PostgreSQL schema inside Kubernetes."""

__version__ = "0.1.0"
