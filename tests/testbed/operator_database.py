"""Databases that belong to the application's role, whose password is one that needs quoting."""

from psycopg import sql

from tests.testbed.database import Database
from tests.testbed.postgres import PostgresServer

APPLICATION = "metrics_app"
PASSWORD = "Zaunkoenig7 %41/@:\"x'"


def owned(database: Database) -> Database:
    """Give a database to the role, and return it."""
    role = sql.Identifier(APPLICATION)
    alter = sql.SQL("alter database {} owner to {}").format(sql.Identifier(database.name), role)
    with database.connect() as connection:
        connection.execute(alter)
        connection.execute(sql.SQL("alter schema public owner to {}").format(role))
    return database


def owner_uri(database: Database, password: str = PASSWORD) -> str:
    """The role's URI over TCP."""
    return database.server.uri(database.name, APPLICATION, password)


def own_database(server: PostgresServer) -> Database:
    """Make the role and a database of its own on a server that one test has for itself."""
    server.create_role(APPLICATION, PASSWORD)
    server.createdb("metrics")
    return owned(Database("metrics", server))
