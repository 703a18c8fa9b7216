"""TLS as it is asked for: refused by the server, by the wrong authority, by the wrong name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.certificates import Authority
from tests.testbed.command_line import PASSWORD, CommandLine
from tests.testbed.declarations import (
    EVERYWHERE,
    FILES,
    Manifest,
    config_map,
    managed_database,
    schema_version,
    secret,
    tls_secret,
)
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.postgres_builds import find_postgres_with_tls
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

CLIENTS = Authority.create("clients-of-the-test")
OTHERS = Authority.create("somebody-else")
HBA = ("hostssl all by_certificate 127.0.0.1/32 cert",)


@pytest.fixture(scope="module")
def server(postgres_major: int) -> Iterator[PostgresServer]:
    """A server with TLS, whose roles are `app` with a password and `by_certificate` without."""
    with scratch(f"pg{postgres_major}") as directory:
        try:
            build = find_postgres_with_tls(postgres_major)
            made = PostgresServer.create(build, directory, ServerConfig(hba=HBA, tls=True))
        except Unavailable as reason:
            cannot(reason)
        with made:
            (made.data / "clients.crt").write_bytes(CLIENTS.pair.certificate)
            made.psql("postgres", "alter system set ssl_ca_file = 'clients.crt'")
            made.create_role("app", PASSWORD, "login superuser")
            made.psql("postgres", "create role by_certificate login superuser")
            made.psql("postgres", "select pg_reload_conf()")
            yield made


def manifests(
    server: PostgresServer,
    tls: dict[str, object] | None,
    host: str = "127.0.0.1",
    user: str = "app",
    **more: str,
) -> list[Manifest]:
    """One database under a TLS setting, with the certificate authorities that it may name."""
    values = {"host": host, "port": str(server.port), "dbname": "postgres", "user": user}
    assert isinstance(server.ca_file, Path)
    right = server.ca_file.read_text()
    return [
        managed_database(tls=tls),
        schema_version("1", FILES),
        secret("main-app", password=PASSWORD, **values, **more),
        secret("right", **{"ca.crt": right, "other.pem": right}),
        secret("wrong", **{"ca.crt": OTHERS.pair.certificate}),
        secret("garbage", **{"ca.crt": "no certificate"}),
        config_map("right", {"ca.crt": right}),
        tls_secret("client", *_pair(CLIENTS)),
        tls_secret("stranger", *_pair(OTHERS)),
    ]


def _pair(authority: Authority) -> tuple[bytes, bytes]:
    pair = authority.client("by_certificate")
    return pair.certificate, pair.key


def ca(name: str, kind: str = "Secret", **key: str) -> dict[str, object]:
    return {"caRef": {"kind": kind, "name": name, **key}}


GOOD: dict[str, tuple[dict[str, object] | None, dict[str, str]]] = {
    "unset-is-require": (None, {}),
    "require": ({"mode": "require"}, {}),
    "verify-ca": ({"mode": "verify-ca", **ca("right")}, {}),
    "verify-full": ({"mode": "verify-full", **ca("right")}, {}),
    "ca-alone-is-verify-full": (ca("right", key="other.pem"), {}),
    "ca-from-config-map": (ca("right", "ConfigMap"), {}),
    "verify-ca-takes-another-name": ({"mode": "verify-ca", **ca("right")}, {"host": "127.0.0.2"}),
    "mode-of-the-secret": (ca("right"), {"sslmode": "verify-full"}),
    "spec-before-secret": ({"mode": "require"}, {"sslmode": "disable"}),
    "client-certificate": (
        {**ca("right"), "certRef": {"name": "client"}},
        {"user": "by_certificate"},
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize(("tls", "more"), [pytest.param(*c, id=name) for name, c in GOOD.items()])
def test_tls_as_it_is_asked_for(
    pgstrata: CommandLine,
    server: PostgresServer,
    tls: dict[str, object] | None,
    more: dict[str, str],
) -> None:
    if more.get("host") == "127.0.0.2":
        more = {**more, "host": "wrong.invalid", "hostaddr": "127.0.0.1"}
    documents = manifests(server, tls, **more)
    query = "select backend_type, ssl from pg_stat_ssl join pg_stat_activity using (pid)"
    assert "t" not in server.psql("postgres", f"{query} where application_name ~ 'pgstrata'")
    server.psql("postgres", "drop schema if exists pgstrata cascade; drop table if exists t")
    files = {
        "1_init.sql": "CREATE TABLE t AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();"
    }
    documents[1] = schema_version("1", files)
    ended = pgstrata.apply(documents, None)
    assert ended.said()[:2] == (0, "Succeeded")
    assert server.psql("postgres", "select ssl from t") == "t\n"


Bad = tuple[dict[str, object] | None, dict[str, str], str, str]

BAD: dict[str, Bad] = {
    "wrong-authority": (ca("wrong"), {}, "TLSFailed", "certificate verify failed"),
    "wrong-authority-verify-ca": (
        {"mode": "verify-ca", **ca("wrong")},
        {},
        "TLSFailed",
        "certificate verify failed",
    ),
    "wrong-name": (
        ca("right"),
        {"host": "wrong.invalid", "hostaddr": "127.0.0.1"},
        "TLSFailed",
        "does not match host name",
    ),
    "no-certificate-at-all": (ca("garbage"), {}, "TLSFailed", "root certificate file"),
    "authority-not-there": (
        ca("nowhere"),
        {},
        "SecretNotFound",
        "Secret nowhere of tls.caRef does not exist",
    ),
    "config-map-not-there": (
        ca("nowhere", "ConfigMap"),
        {},
        "SecretNotFound",
        "ConfigMap nowhere of tls.caRef does not exist",
    ),
    "no-such-key": (
        ca("right", key="tls.crt"),
        {},
        "SecretKeyMissing",
        "Secret right has no key tls.crt",
    ),
    "secret-verifies-without-authority": (
        None,
        {"sslmode": "verify-full"},
        "InvalidSpec",
        "needs spec.connection.tls.caRef",
    ),
    "no-client-certificate": (
        ca("right"),
        {"user": "by_certificate"},
        "TLSFailed",
        "requires a valid client certificate",
    ),
    "client-certificate-of-a-stranger": (
        {**ca("right"), "certRef": {"name": "stranger"}},
        {"user": "by_certificate"},
        "TLSFailed",
        "unknown ca",
    ),
    "client-certificate-of-another-role": (
        {**ca("right"), "certRef": {"name": "client"}},
        {"user": "nobody"},
        "AuthenticationFailed",
        "password authentication failed",
    ),
    "client-certificate-not-there": (
        {"certRef": {"name": "nowhere"}},
        {},
        "SecretNotFound",
        "Secret nowhere of tls.certRef does not exist",
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in BAD.items()])
def test_tls_that_fails_says_where(
    pgstrata: CommandLine, server: PostgresServer, case: Bad
) -> None:
    tls, more, reason, text = case
    ended = pgstrata.apply(manifests(server, tls, **more), None)
    for kind in EVERYWHERE:
        code, said, message = ended.said(kind)
        assert (code, said) == (2, reason)
        assert text in message
    assert "PRIVATE KEY" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("tls", [None, {"mode": "require"}], ids=["unset", "require"])
def test_a_server_without_tls_is_not_talked_to_in_clear(
    pgstrata: CommandLine, postgres: PostgresServer, tls: dict[str, object] | None
) -> None:
    """Require is the default of a Secret: a password never goes over an open wire by accident."""
    connection = secret(
        "main-app",
        host="127.0.0.1",
        port=str(postgres.port),
        dbname="postgres",
        user="app",
        password=PASSWORD,
    )
    documents = [managed_database(tls=tls), schema_version("1", FILES), connection]
    ended = pgstrata.apply(documents, None)
    for kind in EVERYWHERE:
        code, reason, message = ended.said(kind)
        assert (code, reason) == (2, "TLSFailed")
        assert "server does not support SSL, but SSL was required" in message
