"""Every form of Secret that says how to reach a database, and every one that cannot be taken."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.testbed.command_line import PASSWORD, CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import (
    EVERYWHERE,
    FILES,
    Manifest,
    managed_database,
    schema_version,
    secret,
)
from tests.testbed.postgres import PostgresServer
from tests.testbed.roles import new_role

ENCODED = quote(PASSWORD, safe="")
Values = dict[str, str | bytes]


def owner(database: Database) -> str:
    """Make a role that owns a database."""
    role = new_role(database.server)
    database.psql(
        f"alter database {database.name} owner to {role}; alter schema public owner to {role}"
    )
    return role


def manifests(values: Values, mode: str | None = "disable") -> list[Manifest]:
    tls = {"mode": mode} if mode else None
    return [managed_database(tls=tls), schema_version("1", FILES), secret("main-app", **values)]


def single_keys(role: str, database: Database) -> Values:
    return {
        "host": "127.0.0.1",
        "port": str(database.server.port),
        "dbname": database.name,
        "user": role,
        "password": PASSWORD,
    }


def as_cloudnative_pg(role: str, database: Database) -> Values:
    """The app secret that CloudNativePG makes: the wanted keys, and others beside them."""
    uri = database.server.uri(database.name, role, PASSWORD)
    return {
        **single_keys(role, database),
        "username": role,
        "uri": uri,
        "fqdn-uri": uri,
        "jdbc-uri": f"jdbc:postgresql://127.0.0.1/{database.name}?password={ENCODED}",
        "fqdn-jdbc-uri": "jdbc:postgresql://elsewhere/",
        "pgpass": f"127.0.0.1:5432:{database.name}:{role}:{PASSWORD}\n",
    }


TAKEN: dict[str, Callable[[str, Database], Values]] = {
    "uri": lambda role, db: {"uri": db.server.uri(db.name, role, PASSWORD)},
    "uri-with-newline": lambda role, db: {"uri": db.server.uri(db.name, role, PASSWORD) + "\n"},
    "uri-with-sslmode": lambda role, db: {
        "uri": db.server.uri(db.name, role, PASSWORD) + "?sslmode=require"
    },
    "single-keys": single_keys,
    "single-keys-with-newlines": lambda role, db: {
        key: f"{value!s}\n" for key, value in single_keys(role, db).items()
    },
    "username": lambda role, db: {
        ("username" if key == "user" else key): value
        for key, value in single_keys(role, db).items()
    },
    "uri-wins": lambda role, db: {
        **single_keys("nobody", db),
        "uri": db.server.uri(db.name, role, PASSWORD),
    },
    "cloudnative-pg": as_cloudnative_pg,
}


@pytest.mark.pg18only
@pytest.mark.parametrize("form", [pytest.param(form, id=name) for name, form in TAKEN.items()])
def test_a_secret_is_read_in_each_of_its_forms(
    pgstrata: CommandLine, database: Database, form: Callable[[str, Database], Values]
) -> None:
    ended = pgstrata.apply(manifests(form(owner(database), database)), None)
    assert ended.said()[:2] == (0, "Succeeded")
    assert database.psql("select count(*) from t") == "0\n"


HOST = {"host": "127.0.0.1", "dbname": "d", "user": "u", "password": PASSWORD}
WITH_PASSWORD = f"postgresql://u:{ENCODED}@127.0.0.1:1/d"
REFUSED: dict[str, tuple[Values, str, str]] = {
    "empty": ({"unrelated": PASSWORD}, "SecretKeyMissing", "neither the key uri nor the key host"),
    "no-dbname": (
        {"host": "h", "user": "u", "password": PASSWORD},
        "SecretKeyMissing",
        "names no dbname",
    ),
    "no-user": (
        {"host": "h", "dbname": "d", "password": PASSWORD},
        "SecretKeyMissing",
        "names no user",
    ),
    "uri-without-dbname": (
        {"uri": f"postgresql://u:{ENCODED}@127.0.0.1:1"},
        "SecretKeyMissing",
        "names no dbname",
    ),
    "foreign-parameter": (
        {"uri": f"{WITH_PASSWORD}?passfile=/etc/passwd&sslrootcert=/x"},
        "InvalidSpec",
        "not taken from a Secret: passfile, sslrootcert",
    ),
    "service": ({"uri": f"{WITH_PASSWORD}?service=x"}, "InvalidSpec", "service"),
    "options": ({"uri": f"{WITH_PASSWORD}?options=-crole%3Droot"}, "InvalidSpec", "options"),
    "socket-in-uri": (
        {"uri": f"postgresql://u:{ENCODED}@/d?host=/var/run"},
        "InvalidSpec",
        "must name a host, not a path",
    ),
    "socket-encoded": (
        {"uri": f"postgresql://u:{ENCODED}@%2Fvar%2Frun/d"},
        "InvalidSpec",
        "must name a host, not a path",
    ),
    "abstract-socket": ({**HOST, "host": "@hidden"}, "InvalidSpec", "must name a host, not a path"),
    "path-as-host": ({**HOST, "host": "/var/run"}, "InvalidSpec", "must name a host, not a path"),
    "path-in-a-list": (
        {**HOST, "host": "h,/var/run"},
        "InvalidSpec",
        "must name a host, not a path",
    ),
    "no-host": ({"uri": f"postgresql://u:{ENCODED}@/d"}, "InvalidSpec", "name a host"),
    "no-uri": ({"uri": f"{PASSWORD} is no uri"}, "InvalidSpec", "not a connection URI"),
    "password-not-encoded": (
        {"uri": f"postgresql://u:{PASSWORD}@127.0.0.1/d"},
        "InvalidSpec",
        "not percent-encoded",
    ),
    "at-not-encoded": (
        {"uri": "postgresql://u:hush@hushhush@127.0.0.1/d"},
        "InvalidSpec",
        "not percent-encoded",
    ),
    "slash-not-encoded": (
        {"uri": "postgresql://u:hush/hushhush@127.0.0.1/d"},
        "InvalidSpec",
        "not percent-encoded",
    ),
    "port-is-no-number": ({**HOST, "port": "hush"}, "InvalidSpec", "port"),
    "sslmode-unknown": ({**HOST, "sslmode": "hush"}, "InvalidSpec", "sslmode"),
    "not-utf-8": ({**HOST, "password": b"\xff\xfe"}, "InvalidSpec", "not UTF-8"),
}


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("values", "reason", "text"), [pytest.param(*case, id=name) for name, case in REFUSED.items()]
)
def test_a_secret_that_cannot_be_taken_says_why_and_never_what_is_in_it(
    pgstrata: CommandLine, values: Values, reason: str, text: str
) -> None:
    mode = None if "sslmode" in values else "disable"
    ended = pgstrata.apply(manifests(values, mode), None)
    for kind in EVERYWHERE:
        code, said, message = ended.said(kind)
        assert (code, said) == (2, reason)
        assert text in message
        assert "Secret main-app" in message
    assert "hush" not in ended.stdout + ended.stderr


@pytest.mark.pg18only
@pytest.mark.parametrize("url", ["postgresql://u:hush@hushhush@127.0.0.1/d", "hush://x", "a=hush"])
def test_a_url_that_cannot_be_taken_is_not_repeated(pgstrata: CommandLine, url: str) -> None:
    ended = pgstrata.apply([managed_database(), schema_version("1", FILES)], url)
    assert ended.code == 64
    assert "--database-url" in ended.stderr
    assert "hush" not in ended.stdout + ended.stderr


@pytest.mark.pg18only
def test_a_secret_that_is_not_there_is_named(pgstrata: CommandLine) -> None:
    ended = pgstrata.apply([managed_database(), schema_version("1", FILES)], None)
    for kind in EVERYWHERE:
        assert ended.said(kind) == (
            2,
            "SecretNotFound",
            "Secret main-app does not exist in namespace default",
        )


@pytest.mark.pg18only
def test_a_database_that_is_not_declared_is_named(pgstrata: CommandLine) -> None:
    ended = pgstrata.apply([schema_version("1", FILES)], None)
    assert ended.said()[:2] == (2, "DatabaseNotFound")


@pytest.mark.pg18only
def test_nothing_of_libpqs_environment_reaches_a_connection_from_a_secret(
    pgstrata: CommandLine, postgres: PostgresServer
) -> None:
    """The operator's own pod must not lend its password, address or options."""
    role = new_role(postgres)
    values: Values = {
        "host": "127.0.0.1",
        "port": str(postgres.port),
        "dbname": "postgres",
        "user": role,
    }
    documents = json.dumps({"kind": "List", "items": manifests(values)})
    env = {"PGPASSWORD": PASSWORD, "PGHOSTADDR": "192.0.2.1", "PGOPTIONS": "-c x.y=1"}
    options = ("-f", "-", "-o", "json", "--timeout=20s")
    ended = pgstrata.run("apply", *options, given=documents, env=env)
    assert ended.said()[:2] == (2, "AuthenticationFailed")
