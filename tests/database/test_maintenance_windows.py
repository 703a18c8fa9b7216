"""What a ManagedDatabase says of its windows, by the database's clock, and what suspend holds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgstrata.cli.file_store import FileStore, SystemClock
from pgstrata.cli.kinds import HANDLERS
from pgstrata.cli.manifests import read_manifests
from pgstrata.cli.url_databases import UrlDatabases
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.reasons import Reason
from pgstrata.engine.drive import EngineDriver
from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import managed_database

KIND = "ManagedDatabase"


def window(name: str, schedule: str, duration: str = "1h", **fields: object) -> dict[str, Any]:
    return {"name": name, "schedule": schedule, "duration": duration, **fields}


def time_in(zone: str, database: Database) -> datetime:
    """What the clock of a zone shows, asked of the database."""
    text = database.psql(f"select (now() at time zone '{zone}')::timestamp(0)").strip()
    return datetime.fromisoformat(text)


def test_the_status_names_each_window_whether_it_is_open_and_when_it_opens(
    pgstrata: CommandLine, database: Database
) -> None:
    here = time_in("Asia/Kolkata", database)
    at = here - timedelta(minutes=2)
    opened = window("now", f"{at.minute} {at.hour} * * *", "10m", timeZone="Asia/Kolkata")
    soon = window("later", f"{here.minute} {(here.hour + 3) % 24} * * *", timeZone="Asia/Kolkata")
    windows = [opened, soon, window("never", "0 0 30 2 *"), window("always", "* * * * *", "1m")]

    ended = pgstrata.apply([managed_database(windows=windows)], database.uri)

    assert ended.said(KIND)[:2] == (0, "Succeeded")
    [now, later, never, always] = ended.status(KIND)["windows"]
    kolkata = timedelta(hours=5, minutes=30)
    tomorrow = (at + timedelta(days=1) - kolkata).replace(second=0)
    assert now == {"name": "now", "open": True, "nextOpening": f"{tomorrow.isoformat()}Z"}
    assert (later["name"], later["open"]) == ("later", False)
    wait = datetime.fromisoformat(later["nextOpening"]) - datetime.now(UTC)
    assert timedelta(hours=2, minutes=58) < wait < timedelta(hours=3, minutes=1)
    assert never == {"name": "never", "open": False}
    assert always == {"name": "always", "open": True}


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            window("nightly", "30-10 2 * * *"),
            "window nightly has the schedule '30-10 2 * * *': '30-10' cannot be for the minute",
        ),
        (
            window("nightly", "0 2 * * *", timeZone="Europe/Berln"),
            "window nightly has the time zone 'Europe/Berln', which does not exist; it takes IANA "
            "names such as Europe/Berlin",
        ),
    ],
)
def test_a_window_that_cannot_be_is_stalled_by_its_name_and_text(
    pgstrata: CommandLine, database: Database, wrong: dict[str, Any], said: str
) -> None:
    documents = [managed_database(windows=[window("weekend", "0 2 * * SUN"), wrong])]
    ended = pgstrata.apply(documents, database.uri)
    assert ended.said(KIND) == (2, "InvalidSpec", said)


@pytest.mark.pg18only
def test_a_suspended_database_is_looked_at_and_left_as_it_is(
    pgstrata: CommandLine, database: Database
) -> None:
    suspended = managed_database(suspend=True, windows=[window("never", "0 0 30 2 *")])

    ended = pgstrata.apply([suspended], database.uri, "--timeout=3s")
    assert ended.said(KIND)[:2] == (4, "Suspended")
    assert ended.status(KIND)["windows"] == [{"name": "never", "open": False}]
    assert database.psql("select to_regnamespace('pgstrata')") == "\n"

    assert pgstrata.apply([managed_database()], database.uri).code == 0
    code, reason, message = pgstrata.apply([suspended], database.uri).said(KIND)
    assert (code, reason) == (0, "Succeeded")
    assert message.endswith("; all work in it is suspended")


@pytest.mark.pg18only
def test_a_suspended_database_keeps_an_older_control_schema(
    pgstrata: CommandLine, database: Database
) -> None:
    assert pgstrata.apply([managed_database()], database.uri).code == 0
    older = "update pgstrata.control set version = 0 returning version"
    assert database.psql(older) == "0\n"

    suspended = managed_database(suspend=True)
    assert pgstrata.apply([suspended], database.uri, "--timeout=3s").said(KIND)[1] == "Suspended"
    assert database.psql("select version from pgstrata.control") == "0\n"


@pytest.mark.pg18only
async def test_the_look_comes_again_when_the_first_window_opens_or_closes(
    database: Database, tmp_path: Path
) -> None:
    here = time_in("UTC", database)
    opens, closes = here + timedelta(minutes=30), here - timedelta(minutes=5)
    closing = window("closing", f"{closes.minute} {closes.hour} * * *", "20m")
    opening = window("opening", f"{opens.minute} {opens.hour} * * *")
    never = window("never", "0 0 30 2 *")

    for windows, turn in (
        ([never], None),
        ([never, opening], opens),
        ([never, opening, closing], closes + timedelta(minutes=20)),
    ):
        path = tmp_path / "database.yaml"
        path.write_text(yaml.safe_dump(managed_database(windows=windows)))
        store = FileStore(read_manifests(str(path)), lambda _: None)
        driver = EngineDriver(
            handlers=HANDLERS,
            store=store,
            databases=UrlDatabases(store, database.uri),
            clock=SystemClock(),
            cluster="cli",
            holder="test",
        )
        [raw] = store.resources
        look = await driver.reconcile(raw, Interrupt())
        assert look.outcome.reason is Reason.SUCCEEDED
        if turn is None:
            assert look.look_again is None
            continue
        assert look.look_again is not None
        due = time_in("UTC", database) + timedelta(seconds=look.look_again)
        late = due - turn.replace(second=0)
        assert timedelta() <= late <= timedelta(seconds=3), "in time, and not too early"
