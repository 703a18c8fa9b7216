"""The files of versions 002 and 003: each statement is in the phase and the form that is online."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgstrata.pg.classification import Classification, StatementKind
from pgstrata.pg.classify import classify
from pgstrata.pg.lock_modes import LockMode
from pgstrata.pg.script import ScriptItem, split_script
from tests.testbed.monitoring.bundle import BUNDLE, PHASES, VERSIONS
from tests.testbed.monitoring.document import BACKFILLS, ENTRIES
from tests.testbed.monitoring.document_entries import (
    Column,
    Constraint,
    Index,
    NamedValues,
    Table,
)

DIRECTIVE = "pgstrata: batch key=id size=adaptive keep=auto"
FILES = sorted(path for path in BUNDLE.glob("*.sql") if path.stem.rpartition(".")[2] in PHASES)
UPDATE = re.compile(r"UPDATE (\w+) SET\s(.+?)(?:\nFROM|\s+WHERE)", re.DOTALL)
COLUMN_SET = re.compile(r"^\s*(\w+) = ", re.MULTILINE)
FOREIGN_KEY = re.compile(r"ALTER TABLE (\w+) ADD CONSTRAINT (\w+)\s+FOREIGN KEY")

Kind = StatementKind
FRAME = {Kind.TRANSACTION_BEGIN, Kind.TRANSACTION_COMMIT}
OF_PHASE = {
    "expand": {Kind.DDL, Kind.CREATE_INDEX, Kind.CREATE_INDEX_CONCURRENTLY} | FRAME,
    "migrate": {Kind.DML, Kind.VALIDATE_CONSTRAINT},
    "contract": {Kind.DDL, Kind.VALIDATE_CONSTRAINT},
}


def items(version: str, phase: str) -> list[ScriptItem]:
    """Return a version's statements of one phase."""
    files = sorted(BUNDLE.glob(f"{version}_*.{phase}.sql"))
    return [item for file in files for item in split_script(file.read_text())]


def transactions(file: Path) -> Iterator[list[Classification]]:
    """Yield what runs together: the statements of a frame, or one alone."""
    framed: list[Classification] | None = None
    for item in split_script(file.read_text()):
        what = classify(item.text)
        if what.kind is Kind.TRANSACTION_BEGIN:
            framed = []
        elif what.kind is Kind.TRANSACTION_COMMIT:
            assert framed, f"COMMIT of nothing: {file.name}:{item.line}"
            yield framed
            framed = None
        elif framed is not None:
            framed.append(what)
        else:
            yield [what]
    assert framed is None, "BEGIN without COMMIT"


def test_the_versions_of_the_bundle_are_those_that_are_named() -> None:
    assert {path.name.partition("_")[0] for path in BUNDLE.glob("*.sql")} == set(VERSIONS)


@pytest.mark.parametrize(
    ("version", "phases"),
    [("002", {"expand", "migrate", "contract"}), ("003", {"expand"})],
)
def test_a_version_has_files_of_the_phases_in_which_it_does_something(
    version: str, phases: set[str]
) -> None:
    assert {phase for phase in PHASES if items(version, phase)} == phases


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_has_statements_of_its_phase_only(file: Path) -> None:
    phase = file.stem.rpartition(".")[2]
    kinds = {classify(item.text).kind for item in split_script(file.read_text())}
    assert kinds <= OF_PHASE[phase]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_destroyed_rewritten_or_read_under_a_lock_that_stops_writers(file: Path) -> None:
    for together in transactions(file):
        new = {table for what in together for table in what.creates}
        for what in together:
            assert what.forbidden is None
            assert not what.is_destructive
            assert not what.rewrites
            strong = {lock.table for lock in what.locks if lock.mode >= LockMode.SHARE}
            assert not what.scans or strong <= new


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_one_transaction_closes_at_most_one_table_to_readers(file: Path) -> None:
    for together in transactions(file):
        closed = {
            lock.table
            for what in together
            for lock in what.locks
            if lock.mode is LockMode.ACCESS_EXCLUSIVE
        }
        assert len(closed) <= 1


@pytest.mark.parametrize("version", VERSIONS)
def test_every_update_is_a_backfill_in_batches(version: str) -> None:
    for item in items(version, "migrate"):
        directives = [c.text for c in item.leading if c.text.startswith("pgstrata:")]
        assert directives == ([DIRECTIVE] if item.text.startswith("UPDATE") else [])
        if directives:
            assert item.leading[-1].text == DIRECTIVE, "it stands right before its statement"


def test_the_backfills_are_the_documents() -> None:
    found = []
    for item in items("002", "migrate"):
        if match := UPDATE.match(item.text):
            found.append((match[1], tuple(COLUMN_SET.findall(match[2]))))
    assert sorted(found) == sorted((b.table, b.columns) for b in BACKFILLS)


@pytest.mark.parametrize("version", ["002", "003"])
def test_a_foreign_key_of_a_table_with_rows_is_proved_after_the_backfills(version: str) -> None:
    added = {}
    for item in items(version, "expand"):
        if match := FOREIGN_KEY.match(item.text):
            assert item.text.endswith("NOT VALID")
            added[match[2]] = match[1]
    proofs = {f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}" for name, table in added.items()}

    texts = [item.text for item in items(version, "migrate")]
    assert {text for text in texts if "VALIDATE" in text} == proofs
    assert [("VALIDATE" in text) for text in texts] == sorted("VALIDATE" in text for text in texts)
    assert len(added) == (3 if version == "002" else 0)


def test_a_constraint_that_old_code_would_break_comes_last() -> None:
    first, second = (item.text for item in items("002", "contract"))
    assert first.endswith("CHECK (key_prefix IS NOT NULL) NOT VALID")
    assert second == "ALTER TABLE api_keys VALIDATE CONSTRAINT chk_api_keys_prefix"
    assert "key_prefix IS NOT NULL" not in "".join(i.text for i in items("002", "expand"))


def test_the_reference_of_calls_to_endpoints_is_one_statement() -> None:
    (statement,) = (i.text for i in items("003", "expand") if "ADD COLUMN endpoint_id" in i.text)
    assert statement == (
        "ALTER TABLE api_metrics ADD COLUMN endpoint_id TEXT REFERENCES api_endpoints (id)"
    )


def test_the_list_of_the_document_is_whole() -> None:
    """Counted in the document, plus what it lacks."""
    numbers = {entry.enhancement for entry in (*ENTRIES, *BACKFILLS)}
    assert numbers == {1, 2, 3, 4, 5, 8, 9, 10}, "6 and 7 are no files"
    counts = Counter(type(entry) for entry in ENTRIES)
    of_organizations = [e for e in ENTRIES if isinstance(e, Column) and e.table == "organizations"]
    assert counts[Table] == 8 + len(["organizations"])
    assert counts[Column] == 99 + len(of_organizations)
    assert counts[Index] == 27 + len(["idx_api_metrics_endpoint", "idx_api_metrics_api_key"])
    assert counts[Constraint] == 5
    assert counts[NamedValues] == 11
