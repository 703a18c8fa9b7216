"""One database for one test: made by the `database` fixture, dropped after the test."""

from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg.rows import TupleRow

from tests.testbed.postgres import PostgresServer


class Connectable(Protocol):
    """A database that a test looks into, wherever its server runs."""

    def connect(self) -> psycopg.Connection[TupleRow]:
        """Return an autocommit connection of the superuser; use it as a context manager."""
        ...


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh database on a server that other tests use too."""

    name: str
    server: PostgresServer

    @property
    def uri(self) -> str:
        """The superuser's URI over TCP, password included."""
        return self.server.uri(self.name)

    def connect(self) -> psycopg.Connection[TupleRow]:
        """Return an autocommit connection of the superuser; use it as a context manager."""
        return self.server.connect(self.name)

    def psql(self, script: str) -> str:
        """Run a script as psql would; return what it prints."""
        return self.server.psql(self.name, script)

    def dump_schema(self) -> str:
        """Return pg_dump --schema-only in a form that can be compared."""
        return self.server.dump_schema(self.name)
