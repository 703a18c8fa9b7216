"""From a ManagedDatabase to how its database is treated, from the API server or from files."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import JsonValue

from pgstrata.cli.file_store import FileStore
from pgstrata.cli.manifests import Manifests
from pgstrata.cli.url_databases import UrlDatabases
from pgstrata.core.errors import InvalidSpec
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.core.windows import Window
from pgstrata.databases.resolve import DatabaseResolver
from pgstrata.pg.target import Target, ThrottleLimits, Timeouts, TLSFiles, parse_url

KEY = ObjectKey("ManagedDatabase", "shop", "metrics")
URI = "postgresql://app@db.example/app"
NIGHTLY: Mapping[str, JsonValue] = {
    "name": "nightly",
    "schedule": "0 2 * * *",
    "duration": "90m",
    "timeZone": "Europe/Berlin",
}


def store_with(**fields: JsonValue) -> FileStore:
    """A ManagedDatabase with these fields, and its Secret."""
    spec: dict[str, JsonValue] = {"connection": {"secretRef": {"name": "metrics-app"}}, **fields}
    raw = RawResource(KEY, uid="u", generation=1, spec=spec)
    secrets = {(KEY.namespace, "metrics-app"): {"uri": URI.encode()}}
    return FileStore(Manifests({KEY: raw}, secrets, {}, ()), lambda _: None)


async def test_a_secret_and_a_url_lead_to_the_same_treatment_of_a_database() -> None:
    store = store_with(
        timeouts={"lock": "250ms"},
        maxConnections=9,
        windows=[dict(NIGHTLY)],
        throttle={
            "maxReplicaLag": "1m30s",
            "maxConnectionUtilization": 70,
            "maxSlotRetained": "512Mi",
            "maxArchiveBacklog": 7,
            "pauseOnAutovacuum": False,
            "query": "SELECT false",
        },
        suspend=True,
    )
    expected = Target(
        {},
        timeouts=Timeouts(lock=0.25),
        max_connections=9,
        windows=(Window("nightly", "0 2 * * *", timedelta(minutes=90), "Europe/Berlin"),),
        throttle=ThrottleLimits(
            max_replica_lag=90.0,
            max_connection_utilization=70,
            max_slot_retained=512 << 20,
            max_archive_backlog=7,
            pause_on_autovacuum=False,
            query="SELECT false",
        ),
        suspended=True,
    )
    for databases in (DatabaseResolver(store), UrlDatabases(store, URI)):
        target = await databases.target(KEY)
        assert target.parameters["host"] == "db.example"
        assert replace(target, parameters={}, tls=TLSFiles()) == expected


async def test_a_database_that_says_nothing_is_treated_by_the_defaults() -> None:
    target = await UrlDatabases(store_with(), URI).target(KEY)
    assert target == Target(parse_url(URI, origin="the test"))


async def test_a_window_that_cannot_be_is_refused_wherever_the_database_is_used() -> None:
    store = store_with(windows=[{**NIGHTLY, "timeZone": "Europe/Berln"}])
    for databases in (DatabaseResolver(store), UrlDatabases(store, URI)):
        with pytest.raises(InvalidSpec, match="window nightly has the time zone 'Europe/Berln'"):
            await databases.target(KEY)


async def test_an_unknown_window_is_refused_naming_those_that_there_are() -> None:
    store = store_with(windows=[dict(NIGHTLY), {**NIGHTLY, "name": "weekend"}])
    target = await UrlDatabases(store, URI).target(KEY)
    assert target.window("weekend").name == "weekend"
    with pytest.raises(InvalidSpec, match="no window 'monthly'; those that it has: nightly, we"):
        target.window("monthly")
    with pytest.raises(InvalidSpec, match="no window 'monthly'; those that it has: none"):
        Target({}).window("monthly")
