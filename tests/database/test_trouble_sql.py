"""SQL that cannot be run is refused before anything runs, with the place and PostgreSQL's words."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import (
    Manifest,
    config_map,
    declared,
    gzipped_config_map,
    managed_database,
    schema_version,
)
from tests.testbed.postgres import PostgresServer

MARK = "§"
"""Stands in a case's text where the error is."""
EVERYTHING = """
select coalesce(string_agg(nspname || '.' || relname, ' ' order by 1), '')
from pg_class as c join pg_namespace as n on n.oid = relnamespace
where nspname not in ('pgstrata', 'pg_catalog', 'pg_toast', 'information_schema')
"""
JOURNAL = """
select (select count(*) from pgstrata.step) + (select count(*) from pgstrata.file)
+ (select count(*) from pgstrata.version) + (select count(*) from pgstrata.claim)
"""


@pytest.fixture(scope="module")
def shared(postgres: PostgresServer) -> Iterator[Database]:
    """A database that all tests here share, since none of them may change it."""
    name = f"sql_{secrets.token_hex(6)}"
    postgres.createdb(name)
    yield Database(name, postgres)
    postgres.dropdb(name)


@pytest.fixture
def untouched(shared: Database) -> Iterator[Database]:
    """The shared database, found after the test as it was before."""
    before = shared.psql(EVERYTHING)
    yield shared
    assert shared.psql(EVERYTHING) == before
    assert shared.psql(JOURNAL) == "0\n"


def unmarked(files: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return files without the mark, and file:line:column of where it stood."""
    [place] = [
        f"{file}:{text[: text.index(MARK)].count(chr(10)) + 1}"
        f":{text.index(MARK) - text.rfind(chr(10), 0, text.index(MARK))}"
        for file, text in files.items()
        if MARK in text
    ]
    return {file: text.replace(MARK, "") for file, text in files.items()}, place


def inline(files: Mapping[str, str], version: str) -> list[Manifest]:
    return declared(version, files)


def from_config_map(files: Mapping[str, str], version: str) -> list[Manifest]:
    resources = [managed_database(), schema_version(version, config_maps=("files",))]
    return [*resources, config_map("files", files)]


def from_gzip(files: Mapping[str, str], version: str) -> list[Manifest]:
    resources = [managed_database(), schema_version(version, config_maps=("files",))]
    return [*resources, gzipped_config_map("files", files)]


@dataclass(frozen=True, slots=True)
class Wrong:
    """Files with a mark, and what is said of the place."""

    files: dict[str, str]
    says: str
    version: str = "2"


def second(text: str, says: str, name: str = "2_b.sql") -> Wrong:
    return Wrong({"1_a.sql": "CREATE TABLE a (id int);", name: text}, says)


AT = 'syntax error at or near "{}" (SQLSTATE 42601)'
CONTRACT = "2_b.contract.sql"
SYNTAX = {
    "last-file": second("CREATE TABLE b (id int);\n\n  SELECT 1 FROMM §x y;", AT.format("x")),
    "first-word": second("§SELEC 1;", AT.format("SELEC")),
    "umlauts": second(
        '-- Größe ändern, 😀\nCREATE TABLE ä ("Öl" int);\n'
        "/* ß😀 */ ALTER TABLE ä ADD größe ß §int;",
        AT.format("int"),
    ),
    "crlf-and-bom": second("\ufeffSELECT 1;\r\n\r\n SELECT 1 FROMM §x y;\r\n", AT.format("x")),
    "contract-file": second("DROP TABLE a §a;", AT.format("a"), CONTRACT),
    "migrate-file": second("UPDATE a SET §WHERE true;", AT.format("WHERE"), "2_b.migrate.sql"),
    "end-of-input": second("CREATE TABLE b (id int);\nCREATE TABLE c (id int§", "(SQLSTATE 42601)"),
    "goose": second("-- +goose Up\n§SELEC 1;\n-- +goose Down\nSELEC 2;", AT.format("SELEC")),
    "dbmate": second("-- migrate:up\n§SELEC 1;\n-- migrate:down\nSELEC 2;", AT.format("SELEC")),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("wrong", [pytest.param(w, id=name) for name, w in SYNTAX.items()])
def test_a_syntax_error_anywhere_stops_all(
    pgstrata: CommandLine, untouched: Database, wrong: Wrong
) -> None:
    files, place = unmarked(wrong.files)
    ended = pgstrata.apply(declared(wrong.version, files), untouched.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith(f"{place}: ")
    assert wrong.says in message
    assert ended.condition("Stalled")["reason"] == "MigrationFailed"
    assert ended.said("ManagedDatabase")[1] == "Succeeded"


@pytest.mark.parametrize("source", [inline, from_config_map, from_gzip])
def test_a_syntax_error_is_found_in_each_kind_of_source(
    pgstrata: CommandLine,
    untouched: Database,
    source: Callable[[Mapping[str, str], str], list[Manifest]],
) -> None:
    files, place = unmarked(SYNTAX["umlauts"].files)
    code, reason, message = pgstrata.apply(source(files, "2"), untouched.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith(f"{place}: {AT.format('int')}")


REFUSED = {
    "unterminated-string": second("SELECT §'abc;\n", "unterminated string"),
    "unterminated-dollar": second("DO §$x$ BEGIN END $$;", "unterminated $x$ quote"),
    "psql-command": second("SELECT 1;\n  §\\i other.sql\n", "\\i is a command of psql"),
    "set-role": second("§SET ROLE boss;", "the role of the session is the ManagedDatabase's"),
    "set-session-authorization": second(
        "§SET SESSION AUTHORIZATION boss;", "the role of the session is the ManagedDatabase's"
    ),
    "lock-timeout": second("§SET lock_timeout = '1h';", "see spec.timeouts"),
    "statement-timeout": second("§SET LOCAL statement_timeout = 0;", "see spec.timeouts"),
    "set-config": second("§SELECT set_config('lock_timeout', '1h', false);", "see spec.timeouts"),
    "reset-all": second("§RESET ALL;", "resets the settings and locks"),
    "discard-all": second("§DISCARD ALL;", "resets the settings and locks"),
    "reset-search-path": second("§RESET search_path;", "the server's and not spec.schema"),
    "default-search-path": second("§SET search_path TO DEFAULT;", "not spec.schema"),
    "unlock": second("§SELECT pg_advisory_unlock_all();", "gives back the advisory lock"),
    "rollback": second("BEGIN;\n§ROLLBACK;", "ROLLBACK undoes what the journal holds"),
    "prepare-transaction": second("§PREPARE TRANSACTION 'x';", "a prepared transaction"),
    "begin-without-commit": second(
        "CREATE TABLE b (id int);\n§BEGIN;\nCREATE TABLE c (id int);", "BEGIN without COMMIT"
    ),
    "commit-without-begin": second("CREATE TABLE b (id int);\n§COMMIT;", "COMMIT without BEGIN"),
    "begin-in-begin": second("BEGIN;\n§BEGIN;\nCOMMIT;", "BEGIN inside BEGIN"),
    "begin-with-options": second(
        "§BEGIN ISOLATION LEVEL SERIALIZABLE;\nCOMMIT;", "options of BEGIN are not carried out"
    ),
    "vacuum-in-begin": second(
        "BEGIN;\n§VACUUM a;\nCOMMIT;", "cannot run between the BEGIN of line 1 and its COMMIT"
    ),
    "unknown-directive": second(
        "SELECT 1;\n§-- pgstrata: bach\nSELECT 2;", "unknown directive bach"
    ),
    "batch-of-no-rows": second("§-- pgstrata: batch\nDROP TABLE a;", "an UPDATE or a DELETE"),
    "batch-that-must-be-kept": second(
        "-- pgstrata: batch keep=always\n§UPDATE a SET id = random();", "random() is volatile"
    ),
    "directive-at-the-end": second("SELECT 1;\n§-- pgstrata: batch\n", "no statement stands below"),
    "unnamed-index": second("§CREATE INDEX CONCURRENTLY ON a (id);", "needs a name for the index"),
    "contract-file": second("§SET ROLE boss;", "the role of the session", CONTRACT),
    "contract-file-groups": second("§BEGIN;\nDROP TABLE a;", "BEGIN without COMMIT", CONTRACT),
    "contract-file-directive": second(
        "§-- pgstrata: batch\nINSERT INTO a VALUES (1);", "an UPDATE or a DELETE", CONTRACT
    ),
    "copy-without-end": second("§COPY a FROM STDIN;\n1\n2\n", "without a \\. line"),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("wrong", [pytest.param(w, id=name) for name, w in REFUSED.items()])
def test_what_a_migration_must_not_have_stops_all(
    pgstrata: CommandLine, untouched: Database, wrong: Wrong
) -> None:
    files, place = unmarked(wrong.files)
    code, reason, message = pgstrata.apply(declared("2", files), untouched.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith(f"{place}: ")
    assert wrong.says in message


@pytest.mark.pg18only
def test_what_stands_above_the_target_is_not_judged(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": "CREATE TABLE a (id int);", "2_b.sql": "SELEC 1;"}
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")


@pytest.mark.pg18only
def test_a_statement_that_only_a_newer_server_knows_is_its_to_judge(
    pgstrata: CommandLine, untouched: Database
) -> None:
    """The parser in use may be older than the server: then it is the server that is asked."""
    files = {"1_a.sql": "CREATE TABLE a (id int);\nEXPLODE TABLE a;"}
    code, reason, message = pgstrata.apply(declared("1", files), untouched.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message == f"1_a.sql:2:1: {AT.format('EXPLODE')}; nothing was run"


def test_a_statement_that_the_server_is_too_old_for_is_found_before(
    pgstrata: CommandLine, database: Database, postgres_major: int
) -> None:
    """The other way round: grammar of 18 on an older server."""
    sql = "CREATE TABLE a (id int);\nALTER TABLE a ADD b int GENERATED ALWAYS AS (id * 2) VIRTUAL;"
    ended = pgstrata.apply(declared("1", {"1_a.sql": sql}), database.uri)
    if postgres_major >= 18:
        assert ended.said()[:2] == (0, "Succeeded")
    else:
        assert ended.said()[:2] == (2, "MigrationFailed")
        assert ended.said()[2].startswith('1_a.sql:2:54: syntax error at or near "VIRTUAL"')
        assert database.psql(JOURNAL) == "0\n"
        assert database.psql(EVERYTHING) == "\n"
