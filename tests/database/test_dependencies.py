"""Manifests of one run that wait for one another, in whatever order they stand."""

import pytest

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, managed_database, schema_version

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
