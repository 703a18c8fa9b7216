"""Files that cannot be carried out as they are written: refused with the line, nothing applied."""

import base64
import gzip
from dataclasses import dataclass

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, declared, managed_database, schema_version

pytestmark = pytest.mark.pg18only

EARLY = "CREATE TABLE early (id int);"
"""The first version: it must not run if a later one cannot."""
APPLIED = "select count(*) from pgstrata.step"
INDEX = "CREATE INDEX CONCURRENTLY early_id ON early (id);"


@dataclass(frozen=True, slots=True)
class Session:
    """A statement whose effect lasts as long as its session, and one that needs it."""

    makes: str
    needs: str


SESSIONS = {
    "temp-table": Session(
        "CREATE TEMP TABLE scratch (id int);", "INSERT INTO early SELECT id FROM scratch;"
    ),
    "temp-table-as": Session(
        "CREATE TEMPORARY TABLE scratch AS SELECT 1 AS id;",
        "INSERT INTO early SELECT id FROM scratch;",
    ),
    "prepare": Session("PREPARE addition AS INSERT INTO early VALUES (1);", "EXECUTE addition;"),
    "cursor-with-hold": Session(
        "DECLARE numbers CURSOR WITH HOLD FOR SELECT 1;", "FETCH ALL FROM numbers;"
    ),
}
BY_NAME = [pytest.param(session, id=name) for name, session in SESSIONS.items()]


@pytest.mark.parametrize("session", BY_NAME)
def test_what_lasts_for_a_session_is_refused_where_a_later_group_may_have_another_session(
    pgstrata: CommandLine, database: Database, session: Session
) -> None:
    text = f"SELECT 1;\n{session.makes}\n{INDEX}\n{session.needs}"
    ended = pgstrata.apply(declared("2", {"1_a.sql": EARLY, "2_b.sql": text}), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("2_b.sql:2:1: ")
    assert database.psql("select to_regclass('early')") == "\n"
    assert database.psql(APPLIED) == "0\n"


@pytest.mark.parametrize("session", BY_NAME)
def test_what_lasts_for_a_session_may_be_used_within_one_group(
    pgstrata: CommandLine, database: Database, session: Session
) -> None:
    text = f"{session.makes}\n{session.needs}"
    files = {"1_a.sql": EARLY, "2_b.sql": text}
    assert pgstrata.apply(declared("2", files), database.uri).said()[:2] == (0, "Succeeded")
    rows = 0 if session.makes.endswith(("(id int);", "SELECT 1;")) else 1
    assert database.psql("select count(*) from early") == f"{rows}\n"


def test_copying_out_is_refused_before_anything_runs(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": EARLY, "2_b.sql": "SELECT 1;\n  COPY early TO STDOUT;"}
    code, reason, message = pgstrata.apply(declared("2", files), database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("2_b.sql:2:3: ")
    assert database.psql("select to_regclass('early')") == "\n"


@pytest.mark.parametrize(
    ("setting", "says", "following"),
    [
        pytest.param("no_such_one = 1", "unrecognized configuration parameter", EARLY, id="group"),
        pytest.param("work_mem = 'plenty'", 'parameter "work_mem"', INDEX, id="index"),
        pytest.param("no_such_one = 1", "no_such_one", "VACUUM other;", id="alone"),
    ],
)
def test_a_setting_that_the_server_refuses_is_told_with_its_place(
    pgstrata: CommandLine, database: Database, setting: str, says: str, following: str
) -> None:
    database.psql("create table other (id int)")
    files = {"1_a.sql": f"-- the head of the file\nSET {setting};\n{following}"}
    code, reason, message = pgstrata.apply(declared("1", files), database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("1_a.sql:2:")
    assert says in message
    assert database.psql("select to_regclass('early')") == "\n"


FIRST = EARLY.encode() + b"\n"
SECOND = b"CREATE TABLE late (id int);\n"
STORED_HEAD = 10 + 5
"""Bytes before the text in a gzip file of level 0: its header, and the header of its one block."""
TRAILER = 8
WHOLE = gzip.compress(FIRST + SECOND, compresslevel=0)
BROKEN = {
    "ends-between-two-statements": WHOLE[: STORED_HEAD + len(FIRST)],
    "lacks-its-checksum": WHOLE[:-TRAILER],
    "second-member": gzip.compress(FIRST) + gzip.compress(SECOND),
    "bytes-behind-the-end": gzip.compress(FIRST) + SECOND,
}


@pytest.mark.parametrize("content", [pytest.param(c, id=name) for name, c in BROKEN.items()])
def test_a_compressed_file_that_is_not_whole_is_not_run_in_part(
    pgstrata: CommandLine, database: Database, content: bytes
) -> None:
    documents: list[Manifest] = [
        managed_database(),
        schema_version("1", config_maps=("files",)),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "files"},
            "binaryData": {"1_a.sql": base64.b64encode(content).decode()},
        },
    ]
    code, reason, message = pgstrata.apply(documents, database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert "1_a.sql" in message
    found = "select to_regclass('early'), to_regclass('late')"
    assert database.psql(found) == "|\n"
