"""Things that come in the wrong order, as GitOps tools apply them: waited for, then Ready.

All races are run at once, each in a schema of its own of one database; the tests look at how they
went.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.testbed.database import Database
from tests.testbed.operator_database import owned, owner_uri
from tests.testbed.operator_process import Line, OperatorProcess
from tests.testbed.operator_site import OperatorSite
from tests.testbed.operator_user import (
    SOON,
    WATCHED,
    KubectlUser,
    Manifest,
    config_map,
    managed_database,
    ready,
    schema_version,
    secret,
)
from tests.testbed.polling import poll
from tests.testbed.postgres import PostgresServer

pytestmark = pytest.mark.pg18only

FILE = "create table landed (id int)"
AT_ONCE = 6.0
"""Seconds; the operator's own retry comes after 10."""


@dataclass
class Race:
    """A SchemaVersion that came too early, and what it lacks."""

    name: str
    lacks: str
    missing: list[Manifest]
    before: list[Manifest] = field(default_factory=list)
    source: dict[str, object] = field(default_factory=lambda: {"inline": {"001_a.sql": FILE}})
    database: str = "metrics"
    seconds: float = 0.0
    """From the arrival of what was missing until Ready."""

    def resource(self) -> Manifest:
        """The SchemaVersion."""
        return schema_version(self.name, self.database, self.source, schema=f"of_{self.name}")


def _races(uri: str) -> list[Race]:
    def of_maps(name: str) -> dict[str, object]:
        return {"configMaps": [{"name": f"{name}-0"}, {"name": f"{name}-1"}]}

    first, later = {"000_a.sql": "create table first (id int)"}, {"001_b.sql": FILE}
    races = [
        Race(
            "database",
            "DatabaseNotFound",
            [managed_database("late-database", secret="metrics")],
            database="late-database",
        ),
        Race(
            "secret",
            "SecretNotFound",
            [secret("late-secret", uri)],
            before=[managed_database("secretless", secret="late-secret")],
            database="secretless",
        ),
        Race(
            "watchedsecret",
            "SecretNotFound",
            [secret("watched-secret", uri, WATCHED)],
            before=[managed_database("secretless-watched", secret="watched-secret")],
            database="secretless-watched",
        ),
    ]
    for name, labels in (("map", {}), ("watchedmap", WATCHED)):
        races.append(
            Race(
                name,
                "SourceNotReady",
                [config_map(f"{name}-1", later, labels, zipped=["001_b.sql"])],
                before=[config_map(f"{name}-0", first, labels)],
                source=of_maps(name),
            )
        )
    for name, labels in (("version", {}), ("watchedversion", WATCHED)):
        races.append(
            Race(
                name,
                "SourceNotReady",
                [config_map(f"{name}-0", first | later, labels)],
                before=[config_map(f"{name}-0", first, labels)],
                source={"configMaps": [{"name": f"{name}-0"}]},
            )
        )
    return races


@dataclass(frozen=True)
class Raced:
    """What came of the races."""

    races: dict[str, Race]
    database: Database
    user: KubectlUser
    operator: OperatorProcess
    log_before: int

    @property
    def lines(self) -> list[Line]:
        """What the operator has logged since the races began."""
        return self.operator.log()[self.log_before :]


@pytest.fixture(scope="module")
def raced(
    shared_site: OperatorSite, postgres: PostgresServer, application_role: str
) -> Iterator[Raced]:
    postgres.createdb("raced")
    database = owned(Database("raced", postgres))
    user = shared_site.user
    operator = shared_site.operators[0]
    log_before = len(operator.log())
    races = _races(owner_uri(database))
    user.apply(secret("metrics", owner_uri(database)), managed_database("metrics", "metrics"))
    user.apply(*(item for race in races for item in (*race.before, race.resource())))
    for race in races:
        user.wait_for(race.name, race.lacks)
    for name, lacks in (("secretless", "SecretNotFound"), ("metrics", "Succeeded")):
        user.wait_for(name, lacks, kind="ManagedDatabase")

    user.apply(*(item for race in races for item in race.missing))
    arrived = time.monotonic()
    waiting = {race.name: race for race in races}

    def all_ready() -> bool:
        for race in list(waiting.values()):
            if ready(user.get(race.name)).get("reason") == "Succeeded":
                waiting.pop(race.name).seconds = time.monotonic() - arrived
        return not waiting

    poll(all_ready, SOON, f"all to be Ready, without {', '.join(waiting)}")
    by_name = {race.name: race for race in races}
    yield Raced(by_name, database, user, operator, log_before)
    shared_site.assert_no_password()
    shared_site.settle()
    postgres.dropdb("raced")


@pytest.mark.parametrize("name", ["secret", "map", "version"])
def test_what_appears_unwatched_is_found_by_the_next_retry(raced: Raced, name: str) -> None:
    race = raced.races[name]
    print(f"{race.lacks} to Ready: {race.seconds:.1f} s")
    assert race.seconds < 18.0
    assert raced.database.psql(f"select count(*) from of_{name}.landed") == "0\n"


@pytest.mark.parametrize("name", ["database", "watchedsecret", "watchedmap", "watchedversion"])
def test_what_appears_watched_is_noticed_at_once(raced: Raced, name: str) -> None:
    race = raced.races[name]
    print(f"{race.lacks} to Ready: {race.seconds:.1f} s")
    assert race.seconds < AT_ONCE
    assert raced.database.psql(f"select count(*) from of_{name}.landed") == "0\n"


@pytest.mark.parametrize("name", ["database", "secret", "map", "version"])
def test_a_race_is_told_once(raced: Raced, name: str) -> None:
    race = raced.races[name]
    raced.user.wait_event(name, ("Normal", "Succeeded"))
    warnings = [reason for kind, reason in raced.user.events(name) if kind == "Warning"]
    assert warnings == [race.lacks]
    key = f"SchemaVersion {raced.user.namespace}/{name}"
    logged = [line["reason"] for line in raced.lines if line.get("key") == key]
    assert logged == ["Progressing", race.lacks, "Progressing", "Succeeded"]


def test_configmaps_are_merged_and_gzip_is_read(raced: Raced) -> None:
    applied = "select string_agg(file, ' ' order by file) from pgstrata.file where object = %s"
    with raced.database.connect() as connection:
        assert connection.execute(applied, ["schema:of_map"]).fetchone() == ("000_a.sql 001_b.sql",)
