"""What a verify file that does not hold keeps from being complete, for those who only look."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed.apply import DIED, run_apply
from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, managed_database, schema_version

pytestmark = pytest.mark.pg18only

FILES = {
    "1_a.sql": "CREATE TABLE a (n int, old int); INSERT INTO a VALUES (-1, 1);",
    "1_a.migrate.sql": "UPDATE a SET old = 2;",
    "1_a.contract.sql": "ALTER TABLE a DROP COLUMN old;",
    "1_a.verify.sql": "SELECT n FROM a WHERE n < 0;",
}


def base(files: dict[str, str] = FILES, **spec: Any) -> Manifest:
    wanted = {"approval": "Automatic", **spec}
    return schema_version("1", files, name="base", schema="base", **wanted)


def depending(through: str) -> Manifest:
    entry = {"kind": "SchemaVersion", "name": "base", "version": "1", "through": through}
    files = {"1_b.sql": "CREATE TABLE b ();"}
    return schema_version("1", files, name="app", schema="app", dependsOn=[entry])


def apply(pgstrata: CommandLine, database: Database, *resources: Manifest) -> Ended:
    return pgstrata.apply([managed_database(), *resources], database.uri)


def holding(ended: Ended) -> list[str]:
    """The phases that the base's conditions say are complete."""
    types = ("Expanded", "Migrated", "Contracted")
    return [t for t in types if ended.condition(t, name="base")["status"] == "True"]


def test_rows_after_migrate_hold_its_condition_the_version_and_those_who_wait_for_it(
    pgstrata: CommandLine, database: Database
) -> None:
    ended = apply(pgstrata, database, base(), depending("Migrate"))
    assert ended.said(name="base")[1] == "VerificationFailed"
    assert ended.said(name="app")[1] == "DependencyNotReady"
    assert database.psql("select to_regclass('app.b')") == "\n"
    assert holding(ended) == ["Expanded"]
    migrated = ended.condition("Migrated", name="base")
    assert migrated["reason"] == "VerificationFailed"
    assert "Migrate of version 1 is not complete: 1_a.verify.sql:1:1: 1 row" in migrated["message"]
    assert ended.condition("Contracted", name="base")["reason"] == "VerificationFailed"
    status = ended.status(name="base")
    assert status["versions"][0]["phases"][1]["state"] == "Done"
    assert "currentVersion" not in status

    database.psql("update base.a set n = 1")
    ended = apply(pgstrata, database, base(), depending("Migrate"))
    assert [ended.said(name=name)[:2] for name in ("app", "base")] == [(0, "Succeeded")] * 2
    assert holding(ended) == ["Expanded", "Migrated"]
    assert ended.status(name="base")["currentVersion"] == "1"


def test_rows_after_contract_hold_its_condition_and_those_who_wait_for_it(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {**FILES, "1_a.contract.sql": "ALTER TABLE a DROP COLUMN old; UPDATE a SET n = -1;"}
    files["1_a.migrate.sql"] = "UPDATE a SET n = 1;"
    contracting = base(files, through="Contract")
    ended = apply(pgstrata, database, contracting, depending("Contract"))
    assert ended.said(name="base")[1] == "VerificationFailed"
    assert ended.said(name="app")[1] == "DependencyNotReady"
    assert holding(ended) == ["Expanded", "Migrated"]
    contracted = ended.condition("Contracted", name="base")
    assert contracted["reason"] == "VerificationFailed"
    assert "1 row returned after Contract of version 1" in contracted["message"]

    ended = apply(pgstrata, database, base(files))
    assert holding(ended) == ["Expanded", "Migrated"], "whatever is asked for now"

    database.psql("update base.a set n = 1")
    ended = apply(pgstrata, database, contracting, depending("Contract"))
    assert [ended.said(name=name)[:2] for name in ("app", "base")] == [(0, "Succeeded")] * 2
    assert holding(ended) == ["Expanded", "Migrated", "Contracted"]


def test_an_answer_that_died_with_its_process_was_none(
    pgstrata: CommandLine, database: Database, tmp_path: Path
) -> None:
    files = {**FILES, "1_a.migrate.sql": "UPDATE a SET n = 1;"}
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all([managed_database(), base(files)]))
    place = {"PGSTRATA_FAILPOINT": "verify.asked#1"}
    died = run_apply(manifests, database.uri, tmp_path / "log", environment=place)
    assert died.status == DIED, died.output

    ended = apply(pgstrata, database, base(files, suspend=True), depending("Migrate"))
    assert ended.said(name="app")[1] == "DependencyNotReady"
    assert holding(ended) == ["Expanded"]
    migrated = ended.condition("Migrated", name="base")
    assert migrated["reason"] == "Progressing"
    assert migrated["message"].endswith("is not complete: 1_a.verify.sql has not held yet")

    ended = apply(pgstrata, database, base(files), depending("Migrate"))
    assert ended.said(name="app")[:2] == (0, "Succeeded")
    assert holding(ended) == ["Expanded", "Migrated"]
