"""Claims as the command line meets them: who manages a schema, and how that moves."""

from pathlib import Path

import pytest

from tests.testbed.apply import READY, STALLED, Finished, run_apply, write_manifests
from tests.testbed.database import Database

FILES = {"1_notes.expand.sql": "CREATE TABLE notes (note text);"}


class Party:
    """Somebody who applies a SchemaVersion of a name of their own."""

    def __init__(self, name: str, database: Database, directory: Path) -> None:
        """Write the manifests."""
        self._database = database
        self._directory = directory
        self.file = write_manifests(directory, {"inline": FILES}, "1", name=name)

    def apply(self, *options: str) -> Finished:
        """Apply them."""
        return run_apply(self.file, self._database.uri, self._directory / "log", *options)

    def annotate(self, take_over: str) -> None:
        """Say in the manifest whose schema is to be taken over."""
        name = '"metadata": {"name": "other"'
        text = self.file.read_text()
        assert name in text
        note = f'{name}, "annotations": {{"pgstrata.dev/take-over": "{take_over}"}}'
        self.file.write_text(text.replace(name, note))


@pytest.fixture
def first(database: Database, tmp_path: Path) -> Party:
    """The one who came first."""
    first = Party("first", database, tmp_path)
    done = first.apply()
    assert done.status == READY, done.output
    return first


@pytest.fixture
def other(first: Party, database: Database, tmp_path: Path) -> Party:
    """Another, who came later."""
    del first
    return Party("other", database, tmp_path)


def owner(database: Database) -> str:
    """Return who manages the schema."""
    return database.psql("select name from pgstrata.claim").strip()


def test_the_first_keeps_a_schema_and_the_second_is_told_who_has_it(
    database: Database, other: Party
) -> None:
    refused = other.apply()
    assert refused.status == STALLED
    assert "ConflictingManager" in refused.output
    assert 'pgstrata.dev/take-over: \\"cli/default/first\\"' in refused.output
    assert owner(database) == "first"


def test_the_flag_moves_a_claim_and_the_first_is_then_refused(
    database: Database, first: Party, other: Party
) -> None:
    assert other.apply("--take-over").status == READY
    assert owner(database) == "other"
    refused = first.apply()
    assert refused.status == STALLED
    assert "default/other" in refused.output


@pytest.mark.parametrize(
    ("take_over", "status", "owned_by"),
    [("cli/default/first", READY, "other"), ("cli/default/third", STALLED, "first")],
)
def test_the_annotation_moves_a_claim_if_it_names_the_owner(
    database: Database, other: Party, take_over: str, status: int, owned_by: str
) -> None:
    other.annotate(take_over)
    done = other.apply()
    assert done.status == status, done.output
    assert owner(database) == owned_by


def test_a_resource_that_was_made_anew_adopts_its_schema_silently(
    database: Database, first: Party
) -> None:
    database.psql("update pgstrata.claim set uid = 'of the resource before'")
    done = first.apply()
    assert done.status == READY, done.output
    uid = "file:SchemaVersion default/first"
    assert database.psql("select uid from pgstrata.claim").strip() == uid
