"""Manifests of one run that wait for one another, in whatever order they stand."""

from typing import Any

import pytest

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, managed_database, schema_version
from tests.testbed.polling import poll

pytestmark = pytest.mark.pg18only

FILES = {"1_a.sql": "CREATE TABLE a ();"}
DROP = {"1_a.sql": "CREATE TABLE a ();", "1_a.contract.sql": "DROP TABLE a;"}


def depending(name: str, *first: str) -> Manifest:
    entries = [{"kind": "SchemaVersion", "name": each} for each in first]
    return schema_version("1", FILES, name=name, schema=name, dependsOn=entries)


def apply(pgstrata: CommandLine, database: Database, *resources: Manifest) -> Ended:
    return pgstrata.apply([managed_database(), *resources], database.uri)


def test_a_chain_is_applied_to_its_end_in_the_order_of_what_is_needed(
    pgstrata: CommandLine, database: Database
) -> None:
    chain = (depending("a", "b", "d"), depending("b", "c"), depending("c", "d"), depending("d"))
    ended = apply(pgstrata, database, *chain)
    assert [ended.said(name=name)[:2] for name in "abcd"] == [(0, "Succeeded")] * 4
    order = "select string_agg(object, ' ' order by completed_at) from pgstrata.file"
    assert database.psql(order) == "schema:d schema:c schema:b schema:a\n"


def test_what_waits_for_nothing_that_comes_ends_once_all_else_has(
    pgstrata: CommandLine, database: Database
) -> None:
    person = schema_version("1", DROP, name="p", schema="p", through="Contract")
    ended = apply(pgstrata, database, depending("a", "b"), depending("b", "p"), person)
    reasons = [ended.said(name=name)[:2] for name in "abp"]
    assert reasons == [(4, "DependencyNotReady"), (4, "DependencyNotReady"), (4, "ApprovalPending")]
    assert (
        "SchemaVersion default/gone of spec.dependsOn does not exist"
        in (apply(pgstrata, database, depending("e", "gone")).said(name="e")[2])
    )


def test_a_circle_of_three_is_told_to_each_and_none_begins(
    pgstrata: CommandLine, database: Database
) -> None:
    ring = (depending("a", "b"), depending("b", "c"), depending("c", "a"))
    ended = apply(pgstrata, database, *ring)
    assert ended.said(name="a") == (
        2,
        "DependencyCycle",
        "spec.dependsOn goes in a circle: a -> b -> c -> a",
    )
    assert {ended.said(name=name)[1] for name in "bc"} == {"DependencyCycle"}
    assert database.psql("select to_regnamespace('a')") == "\n"


def test_a_phase_that_is_complete_counts_while_the_next_one_still_runs(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": "CREATE TABLE a ();", "1_a.migrate.sql": "SELECT pg_advisory_xact_lock(7);"}
    base = schema_version("1", files, name="base", schema="base")
    entry = {"kind": "SchemaVersion", "name": "base", "version": "1", "through": "Expand"}
    later = schema_version("1", FILES, name="app", schema="app", dependsOn=[entry])
    with database.connect() as holder:
        holder.execute("select pg_advisory_lock(7)")
        running = pgstrata.start_apply([managed_database(), later, base], database.uri)
        poll(lambda: "app" in database.psql("select to_regclass('app.a')"), 20, "app is applied")
        migrated = "select count(*) from pgstrata.version where object = 'schema:base' and phase = "
        assert database.psql(f"{migrated} 'Migrate'") == "0\n"
    ended = running.wait()
    assert [ended.said(name=name)[:2] for name in ("app", "base")] == [(0, "Succeeded")] * 2


CONTRACTED = {
    **{f"{n:03}_a.sql": f"CREATE TABLE a{n} (id int, old int);" for n in range(1, 23)},
    "001_a.contract.sql": "ALTER TABLE a1 DROP COLUMN old;",
    "022_a.contract.sql": "ALTER TABLE a22 DROP COLUMN old;",
}


def test_a_contract_is_waited_for_with_those_below_it_however_many_versions_came_since(
    pgstrata: CommandLine, database: Database
) -> None:
    def after(version: str, through: str, **base: Any) -> tuple[int, str, str]:
        entry = {"kind": "SchemaVersion", "name": "base", "version": version, "through": through}
        first = schema_version(
            "022", CONTRACTED, name="base", schema="base", approval="Automatic", **base
        )
        later = schema_version("1", FILES, name="app", schema="app", dependsOn=[entry])
        return apply(pgstrata, database, first, later).said(name="app")

    code, reason, message = after("021", "Contract")
    assert (code, reason) == (4, "DependencyNotReady")
    assert "default/base is not at version 021 through Contract yet" in message
    assert after("001", "Contract")[:2] == (4, "DependencyNotReady")
    assert after("022", "Contract", contractThrough="001")[:2] == (4, "DependencyNotReady")
    assert after("001", "Contract", contractThrough="001")[:2] == (0, "Succeeded")
