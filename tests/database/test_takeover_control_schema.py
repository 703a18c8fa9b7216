"""The control schema: installed by many at once, too new, copied, and out of reach."""

import re
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgstrata.engine.control import CONTROL_VERSION
from pgstrata.pg.script import split_script
from tests.testbed.apply import (
    READY,
    STALLED,
    Finished,
    run_apply,
    write_database_manifest,
    write_manifests,
)
from tests.testbed.database import Database
from tests.testbed.end_state import sessions_of_ours
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer

AT_ONCE = 8
TOGETHER = 60.0
"""Seconds until the last of them waits, cold imports included."""
INSTALL_LOCK = 7_163_402_951_688_310_401
"""What pgstrata takes, in all its versions, while it installs: part of what they agree upon."""
FILES = {"1_notes.expand.sql": "CREATE TABLE notes (note text);"}
CONTROL = Path(__file__).parents[2] / "sql" / "control"
REMEMBERED_BY_VERSION_1 = """
insert into pgstrata.control (version, min_reader, system_identifier, database, timeline)
select 1, 1, s.system_identifier::text, current_database(), c.timeline_id
from pg_control_system() as s, pg_control_checkpoint() as c;
insert into pgstrata.version (object, version, phase, name, duration_ms)
values ('schema:public', '0', 'Expand', 'before', 1);
"""
CURE = re.compile(r"an administrator can run: ([^\"]*;)")


@dataclass(frozen=True, slots=True)
class Applying:
    """A SchemaVersion and where its runs write their logs."""

    manifests: Path
    directory: Path

    def to(self, uri: str, *options: str, log: str = "log") -> Finished:
        """Apply it to a database."""
        return run_apply(self.manifests, uri, self.directory / log, *options)


@pytest.fixture
def applying(tmp_path: Path) -> Applying:
    """One table."""
    return Applying(write_manifests(tmp_path, {"inline": FILES}, "1"), tmp_path)


@pytest.fixture
def managed(database: Database, applying: Applying) -> Database:
    """A database that is managed."""
    done = applying.to(database.uri)
    assert done.status == READY, done.output
    return database


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may connect and no more."""
    name = f"role_{secrets.token_hex(6)}"
    database.server.create_role(name, "secret")
    yield name
    database.server.dropdb(database.name)
    database.server.psql("postgres", f"drop role {name}")


def test_many_at_once_install_it_once(database: Database, tmp_path: Path) -> None:
    alone = write_database_manifest(tmp_path)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        with database.connect() as connection:
            connection.execute("select pg_advisory_lock(%s)", (INSTALL_LOCK,))
            runs = [
                pool.submit(run_apply, alone, database.uri, tmp_path / f"log-{number}")
                for number in range(AT_ONCE)
            ]
            poll(lambda: len(sessions_of_ours(connection)) == AT_ONCE, TOGETHER, "all are waiting")
        for run in runs:
            done = run.result()
            assert done.status == READY, done.output
            assert "ProgressingWithRetry" not in done.output
    assert database.psql("select version from pgstrata.control").split() == [str(CONTROL_VERSION)]


def test_one_of_the_first_release_is_upgraded_with_what_it_remembers(
    database: Database, applying: Applying
) -> None:
    """Version 1 as its release left it: a file and a phase that were applied there."""
    with database.connect() as connection:
        for item in split_script((CONTROL / "0001_foundation.sql").read_text()):
            connection.execute(item.text)
        connection.execute(REMEMBERED_BY_VERSION_1)
    done = applying.to(database.uri)
    assert done.status == READY, done.output
    assert database.psql("select version from pgstrata.control").split() == [str(CONTROL_VERSION)]
    kept = database.psql("select phase, is_baseline from pgstrata.version where version = '0'")
    assert kept.replace("|", " ").split() == ["Expand", "f"]


def test_one_that_is_too_new_is_left_alone(managed: Database, applying: Applying) -> None:
    managed.psql("update pgstrata.control set version = 99, min_reader = 99")
    before = managed.psql("select c, f from pgstrata.control as c, pgstrata.fence as f")
    done = applying.to(managed.uri)
    assert done.status == STALLED
    assert "ControlSchemaTooNew" in done.output
    assert managed.psql("select c, f from pgstrata.control as c, pgstrata.fence as f") == before


def test_a_newer_one_that_older_ones_can_read_is_worked_with(
    managed: Database, applying: Applying
) -> None:
    managed.psql("update pgstrata.control set version = 99")
    done = applying.to(managed.uri)
    assert done.status == READY, done.output
    assert managed.psql("select version from pgstrata.control").strip() == "99"


@pytest.mark.parametrize(
    "version", [CONTROL_VERSION, 0], ids=["of this version", "of an older one"]
)
def test_a_restored_copy_is_managed_only_when_somebody_says_so(
    managed: Database, applying: Applying, version: int
) -> None:
    with restored(managed) as copy:
        copy.psql(f"update pgstrata.control set version = {version}")
        refused = applying.to(copy.uri)
        assert refused.status == STALLED
        assert "DatabaseChanged" in refused.output
        assert managed.name in refused.output
        copy.psql(f"update pgstrata.control set version = {CONTROL_VERSION}")
        for options in (("--take-over",), ()):
            done = applying.to(copy.uri, *options)
            assert done.status == READY, done.output
        assert copy.psql("select database from pgstrata.control").strip() == copy.name
    done = applying.to(managed.uri)
    assert done.status == READY, done.output


def test_a_copy_without_data_is_refused_and_told_how_to_begin_anew(
    managed: Database, applying: Applying
) -> None:
    with restored(managed, "--schema-only") as copy:
        refused = applying.to(copy.uri)
        assert refused.status == STALLED
        assert "DatabaseChanged" in refused.output
        assert "DROP SCHEMA pgstrata CASCADE;" in refused.output
        copy.psql("drop table notes; DROP SCHEMA pgstrata CASCADE;")
        done = applying.to(copy.uri)
        assert done.status == READY, done.output


@pytest.mark.parametrize(
    "hindrance",
    [
        "",
        "create schema pgstrata",
        "create schema pgstrata; grant usage on schema pgstrata to public",
    ],
    ids=["no CREATE on the database", "an empty schema of another", "one that may be looked into"],
)
def test_without_the_right_to_install_it_the_sql_that_helps_is_told(
    database: Database, applying: Applying, role: str, hindrance: str
) -> None:
    database.psql(f"{hindrance}; grant create on schema public to {role}")
    assert_cured(database, applying, role)


def test_without_the_right_to_use_it_the_sql_that_helps_is_told(
    managed: Database, applying: Applying, role: str
) -> None:
    managed.psql(f"grant create on schema public to {role}")
    assert_cured(managed, applying, role)
    managed.psql(f"revoke select on all tables in schema pgstrata from {role}")
    assert_cured(managed, applying, role)


def assert_cured(database: Database, applying: Applying, role: str) -> None:
    """Assert that a run is refused, and that it works once what it says has been done."""
    uri = database.server.uri(database.name, role, "secret")
    refused = applying.to(uri)
    assert refused.status == STALLED
    assert "AccessDenied" in refused.output
    found = CURE.search(refused.output.replace('\\"', "''"))
    assert found is not None, refused.output
    database.psql(found[1].replace("''", '"'))
    done = applying.to(uri)
    assert done.status == READY, done.output


class restored:
    """A copy of a database by pg_dump and psql, under another name; dropped after the block."""

    def __init__(self, database: Database, *options: str) -> None:
        """Copy it."""
        server: PostgresServer = database.server
        dump = subprocess.run(
            [server.build.tool("pg_dump"), *options, server.socket_uri(database.name)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.copy = Database(f"{database.name}_copy", server)
        server.createdb(self.copy.name)
        self.copy.psql(dump.stdout)

    def __enter__(self) -> Database:
        return self.copy

    def __exit__(self, *error: object) -> None:
        self.copy.server.dropdb(self.copy.name)
