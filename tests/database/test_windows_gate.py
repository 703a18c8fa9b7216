"""A window gates the beginning of steps: what is said, what stops at its end, what is not begun."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
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
from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, managed_database, schema_version

pytestmark = pytest.mark.pg18only

NEVER: Manifest = {"name": "never", "schedule": "0 0 30 2 *", "duration": "1h"}
TABLE = {"1_a.sql": "CREATE TABLE a (id int);"}


def now(database: Database) -> datetime:
    """By the database's clock, in UTC."""
    text = database.psql("select clock_timestamp() at time zone 'UTC'").strip()
    return datetime.fromisoformat(text)


def opening_at(start: datetime, duration: str, name: str = "night") -> Manifest:
    return {"name": name, "schedule": f"{start.minute} {start.hour} * * *", "duration": duration}


def closing_in(seconds: int, database: Database) -> Manifest:
    """A window that is open, and closes so many seconds from now."""
    here = now(database)
    start = (here - timedelta(minutes=1)).replace(second=0, microsecond=0)
    open_for = round((here - start).total_seconds()) + seconds
    return opening_at(start, f"{open_for}s")


def apply(
    pgstrata: CommandLine,
    database: Database,
    window: Manifest,
    *options: str,
    files: Mapping[str, str] = TABLE,
    named: str | None = None,
    **spec: Any,
) -> Ended:
    spec = {"window": named or window["name"], "approval": "Automatic", **spec}
    documents = [managed_database(windows=[window]), schema_version("1", files, **spec)]
    return pgstrata.apply(documents, database.uri, *options)


def test_nothing_begins_while_the_window_is_closed_and_it_is_said_when_it_opens(
    pgstrata: CommandLine, database: Database
) -> None:
    later = (now(database) + timedelta(hours=3, minutes=2, seconds=30)).replace(second=0)
    ended = apply(pgstrata, database, opening_at(later, "1h"))
    code, reason, message = ended.said()
    assert (code, reason) == (4, "WaitingForWindow")
    cron = f"window night ({later.minute} {later.hour} * * *, UTC)"
    assert f"1_a.sql:1: CREATE TABLE a (id int) waits for {cron}: it opens at " in message
    assert message.endswith((", in 3 h 1 min", ", in 3 h 2 min"))
    assert [step["gate"] for step in ended.status()["plan"]["steps"]] == ["Window"]
    assert database.psql("select to_regclass('a')") == "\n"

    code, reason, message = apply(pgstrata, database, NEVER).said()
    assert (code, reason) == (4, "WaitingForWindow")
    assert message.endswith("waits for window never (0 0 30 2 *, UTC), which never opens")

    unknown = apply(pgstrata, database, NEVER, named="nightly").said()
    assert unknown[:2] == (2, "InvalidSpec")
    assert "nightly" in unknown[2]
    assert database.psql("select to_regclass('a')") == "\n"

    assert apply(pgstrata, database, NEVER, "--ignore-windows").said()[:2] == (0, "Succeeded")
    assert apply(pgstrata, database, NEVER).said()[:2] == (0, "Succeeded"), "nothing to begin"


def test_a_person_is_asked_before_the_window_opens(
    pgstrata: CommandLine, database: Database
) -> None:
    drop = {"1_a.sql": "DROP TABLE IF EXISTS a;"}
    ended = apply(pgstrata, database, NEVER, files=drop, approval="Required")
    assert ended.said()[:2] == (4, "ApprovalPending")
    hash_ = ended.status()["plan"]["hash"]
    agreed = apply(pgstrata, database, NEVER, f"--approve={hash_}", files=drop, approval="Required")
    assert agreed.said()[:2] == (4, "WaitingForWindow")
    assert "hash" not in agreed.status()["plan"]
    assert [step["gate"] for step in agreed.status()["plan"]["steps"]] == ["Window"]
    open_ = {"name": "never", "schedule": "* * * * *", "duration": "1m"}
    assert apply(pgstrata, database, open_, files=drop, approval="Required").code == 0


SLOW = """
create table speed as select 0.02::float8 as s;
create function slow(int) returns int language sql volatile
    as 'select pg_sleep(s) from speed; select $1';
create table t (id int primary key, b int, times int not null default 0);
insert into t select g from generate_series(1, 1200) as g;
"""
BACKFILL = {
    "1_a.migrate.sql": "-- pgstrata: batch key=id size=10 keep=never\n"
    "UPDATE t SET b = slow(id), times = times + 1 WHERE b IS NULL;\nCREATE TABLE behind ();"
}


def test_a_window_that_closes_midway_stops_a_backfill_at_a_batch_and_the_next_goes_on_there(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SLOW)
    window = closing_in(18, database)  # the rows take 24 s
    ended = apply(pgstrata, database, window, files=BACKFILL)
    code, reason, message = ended.said()
    assert (code, reason) == (4, "WaitingForWindow")
    assert "1_a.migrate.sql:2: UPDATE t SET b = slow(id)" in message
    assert "progress" not in ended.status()
    done = int(database.psql("select count(*) from t where b is not null"))
    assert 0 < done < 1200
    assert database.psql("select rows from pgstrata.cursor") == f"{done}\n"
    assert database.psql("select max(id) from t where b is not null") == f"{done}\n"
    assert database.psql("select to_regclass('behind')") == "\n"

    database.psql("update speed set s = 0")
    wide = {"name": "night", "schedule": "* * * * *", "duration": "1m"}
    assert apply(pgstrata, database, wide, files=BACKFILL).said()[:2] == (0, "Succeeded")
    assert database.psql("select min(times), max(times), count(b) from t") == "1|1|1200\n"
    assert database.psql("select to_regclass('behind')") == "behind\n"


MEASURED = """
insert into pgstrata.step
    (object, id, version, phase, file, first_statement, title, checksums, state, token,
     started_at, finished_at, work, bytes)
select 'schema:other', work, '1', 'Expand', '1_x.sql', 0, 'x', '{}', 'Applied', 1,
    now() - interval '40 s', now(), work, 4 * 1024 * 1024
from unnest(array['Scan', 'BuildIndex']) as w (work)
"""


def test_what_cannot_end_before_the_window_closes_is_not_begun(
    pgstrata: CommandLine, database: Database
) -> None:
    assert pgstrata.apply([managed_database()], database.uri).code == 0
    database.psql(MEASURED)
    database.psql(
        "create table parts (id int) partition by range (id);"
        "create table big partition of parts default;"
        "insert into parts select generate_series(1, 90000);"
        "alter table parts add constraint positive check (id > 0) not valid;"
    )
    files = {"1_a.sql": "CREATE TABLE small ();\nALTER TABLE parts VALIDATE CONSTRAINT positive;"}
    code, reason, message = apply(pgstrata, database, closing_in(25, database), files=files).said()
    assert (code, reason) == (4, "WaitingForWindow")
    assert "takes about 3" in message
    assert re.search(r"\(3.1 MB at 0.1 MB/s, measured\), and window night closes in \d+ s", message)
    assert "it is not begun" in message
    assert "never long enough" not in message
    validated = "select convalidated from pg_constraint where conname = 'positive' and conrelid = \
'parts'::regclass"
    assert database.psql("select to_regclass('small') is not null") == "t\n"
    assert database.psql(validated) == "f\n"

    wide = {"name": "night", "schedule": "* * * * *", "duration": "1m"}
    assert apply(pgstrata, database, wide, files=files).said()[:2] == (0, "Succeeded")
    assert database.psql(validated) == "t\n"


def test_what_names_no_table_is_estimated_by_the_size_of_the_database(
    pgstrata: CommandLine, database: Database
) -> None:
    assert pgstrata.apply([managed_database()], database.uri).code == 0
    database.psql(MEASURED)
    files = {"1_a.sql": "REINDEX SCHEMA public;"}
    code, reason, message = apply(pgstrata, database, closing_in(25, database), files=files).said()
    assert (code, reason) == (4, "WaitingForWindow")
    assert re.search(r"MB at 0.1 MB/s, measured\), and window night closes in \d+ s", message)


async def test_the_next_look_comes_when_the_window_opens(
    database: Database, tmp_path: Path
) -> None:
    for minutes in (2, 20):
        opens = (now(database) + timedelta(minutes=minutes)).replace(second=0, microsecond=0)
        window = opening_at(opens, "1h")
        path = tmp_path / "manifests.yaml"
        resource = schema_version("1", TABLE, window="night")
        path.write_text(yaml.safe_dump_all([managed_database(windows=[window]), resource]))
        store = FileStore(read_manifests(str(path)), lambda _: None)
        driver = EngineDriver(
            handlers=HANDLERS,
            store=store,
            databases=UrlDatabases(store, database.uri),
            clock=SystemClock(),
            cluster="cli",
            holder="test",
        )
        [raw] = [r for r in store.resources if r.key.kind == "SchemaVersion"]
        before = now(database)
        look = await driver.reconcile(raw, Interrupt())
        after = now(database)
        assert look.outcome.reason is Reason.WAITING_FOR_WINDOW
        assert look.look_again is not None
        if minutes == 20:
            assert look.look_again == 600, "clocks are asked again every ten minutes"
            continue
        wait = timedelta(seconds=look.look_again)
        assert after + wait >= opens, "not too early"
        assert before + wait <= opens + timedelta(seconds=3), "in time"
