"""The fence, the lock and the heartbeat of one object, seen from the run that loses them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow

from pgstrata.core.errors import Busy, SessionLost
from pgstrata.core.names import LockedObject
from pgstrata.engine import exclusive as rules
from pgstrata.engine.control import ensure_control
from pgstrata.engine.exclusive import Exclusive, exclusive
from pgstrata.pg.connect import connect
from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.session import Effect
from pgstrata.pg.target import Target, parse_url
from pgstrata.pg.timeouts import Limits
from tests.testbed.database import Database
from tests.testbed.polling import poll_async

SCHEMA = LockedObject.of_schema("public")
OURS = f"pgstrata:{SCHEMA.short_hash}"
LIMITS = Limits(1_000, 10_000)

RAISE = "update pgstrata.fence set token = token + 1, nonce = gen_random_uuid()"
STEP: dict[str, object] = {
    "object": SCHEMA.text,
    "id": "1/Expand/1_shop.sql/1",
    "version": "1",
    "phase": "Expand",
    "file": "1_shop.sql",
    "first_statement": 0,
    "title": "a step",
    "checksums": ["0"],
    "token": 1,
    "completes_file": False,
    "checksum": "",
    "text": "",
    "done_versions": [],
    "done_phases": [],
    "done_names": [],
    "consumes": None,
    "rows": None,
    "work": None,
    "work_tables": list[str](),
}
SAME_NUMBER = "update pgstrata.fence set nonce = gen_random_uuid()"


@pytest.fixture
async def target(database: Database) -> Target:
    """A database with its control schema."""
    target = Target(parse_url(database.uri, origin="the test"))
    session = await connect(target, application_name="pgstrata:look")
    await ensure_control(session)
    await session.close()
    return target


@pytest.mark.parametrize("change", [RAISE, SAME_NUMBER, "delete from pgstrata.fence"])
async def test_a_run_whose_fence_was_raised_writes_nothing_any_more(
    target: Target, database: Database, change: str
) -> None:
    async with exclusive(target, SCHEMA, schema="public", holder="old") as old:
        await write(old, "before")
        database.psql("create table notes (note text)")
        database.psql(change)
        with pytest.raises(SessionLost):
            await write(old, "after")
        with pytest.raises(SessionLost):
            async with old.group(LIMITS):
                await old.session.execute("insert into notes values ('in a group')")
        assert database.psql("select count(*) from notes").strip() == "0"
        assert claims(database) == ["before"]


async def test_a_step_that_is_applied_cannot_be_applied_again(
    target: Target, database: Database
) -> None:
    async with exclusive(target, SCHEMA, schema="public", holder="test") as work:
        await finish(work)
        database.psql("create table notes (note text)")
        with pytest.raises(StatementFailed, match="23502"):
            await do_once_more(work)
    assert database.psql("select count(*) from notes").strip() == "0"


async def test_a_run_whose_fence_was_raised_hears_of_it_at_its_next_beat(
    target: Target, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BEAT_SECONDS", 0.1)
    async with exclusive(target, SCHEMA, schema="public", holder="old") as old:
        database.psql(RAISE)
        async with asyncio.timeout(5):
            await old.lost.wait()


async def test_a_run_whose_beat_is_cancelled_once_goes_on_beating(
    target: Target, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BEAT_SECONDS", 0.1)
    async with exclusive(target, SCHEMA, schema="public", holder="test") as work:
        with psycopg.connect(database.uri) as connection:
            connection.execute("select from pgstrata.heartbeat for update")
            pid = work.monitor.pid

            async def is_beating() -> bool:
                query = f"select wait_event_type = 'Lock' from pg_stat_activity where pid = {pid}"
                return database.psql(query).strip() == "t"

            await poll_async(is_beating, 5, "the beat waits for the row")
            connection.execute("select pg_cancel_backend(%s)", (pid,))
        before = beat_at(database)

        async def has_beaten() -> bool:
            return beat_at(database) > before

        await poll_async(has_beaten, 5, "the next beat")
        assert not work.lost.is_set()


async def test_each_run_raises_the_token_and_has_a_nonce_of_its_own(target: Target) -> None:
    fences = []
    for _ in range(3):
        async with exclusive(target, SCHEMA, schema="public", holder="test") as work:
            fences.append(work.fence)
    assert [f.token for f in fences] == [1, 2, 3]
    assert len({f.nonce for f in fences}) == 3


async def test_a_session_of_ours_that_keeps_the_fences_row_is_broken_through(
    target: Target, database: Database
) -> None:
    async with exclusive(target, SCHEMA, schema="public", holder="first"):
        pass
    with fence_held(database, f"{OURS}:wait") as stopped:
        async with (
            asyncio.timeout(10),
            exclusive(target, SCHEMA, schema="public", holder="next") as work,
        ):
            await write(work, "next")
        with pytest.raises(psycopg.OperationalError):
            stopped.execute("select 1")
    assert claims(database) == ["next"]


async def test_a_strangers_session_that_keeps_the_fences_row_is_not_ended(
    target: Target, database: Database
) -> None:
    async with exclusive(target, SCHEMA, schema="public", holder="first"):
        pass
    with fence_held(database, "psql") as stranger:
        with pytest.raises(Busy):
            async with exclusive(target, SCHEMA, schema="public", holder="next"):
                pass
        stranger.execute("select 1")


async def test_a_statement_that_runs_on_under_a_lower_token_is_ended_before_work_begins(
    target: Target, database: Database
) -> None:
    left = psycopg.connect(database.uri, application_name=f"{OURS}:0")
    sleeping = asyncio.create_task(asyncio.to_thread(left.execute, "select pg_sleep(60)"))
    async with asyncio.timeout(20), exclusive(target, SCHEMA, schema="public", holder="next"):
        assert sessions(database, f"{OURS}:0") == 0
    with pytest.raises(psycopg.OperationalError):
        await sleeping
    left.close()


async def test_a_living_holder_is_left_alone_and_named(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", 0.5)
    async with exclusive(target, SCHEMA, schema="public", holder="first") as first:
        with pytest.raises(Busy, match=f"{OURS}:1 .pid {first.session.pid}."):
            async with exclusive(target, SCHEMA, schema="public", holder="next"):
                pass
        await write(first, "first")


async def test_a_holder_of_another_role_that_cannot_be_looked_at_is_waited_for(
    target: Target, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", 0.5)
    role = database.name.replace("test_", "role_")
    database.server.create_role(role, "secret")
    database.psql(
        f"grant usage on schema pgstrata to {role};"
        f"grant select, insert, update, delete on all tables in schema pgstrata to {role}"
    )
    other = Target(parse_url(database.server.uri(database.name, role, "secret"), origin="the test"))
    async with exclusive(target, SCHEMA, schema="public", holder="first"):
        with pytest.raises(Busy):
            async with exclusive(other, SCHEMA, schema="public", holder="next"):
                pass
    database.psql(f"drop owned by {role}; drop role {role}")


async def finish(work: Exclusive) -> None:
    """Write a step into the journal."""
    async with work.journalled():
        await work.session.run("migrations/finish_step", **STEP)


async def do_once_more(work: Exclusive) -> None:
    """Run a group whose step is in the journal already."""
    async with work.group(LIMITS) as transaction:
        await work.session.execute("insert into notes values ('a second time')")
        transaction.closing.append(Effect("migrations/finish_step", STEP))


async def write(work: Exclusive, name: str) -> None:
    """Write something behind the fence."""
    async with work.journalled():
        await work.session.run(
            "engine/write_claim",
            object=f"schema:{name}",
            cluster="cli",
            kind="SchemaVersion",
            namespace="default",
            name=name,
            uid="1",
        )


def claims(database: Database) -> list[str]:
    """Return what `write` has written."""
    return database.psql("select name from pgstrata.claim order by name").split()


def beat_at(database: Database) -> str:
    """Return when the monitor last beat."""
    return database.psql("select at from pgstrata.heartbeat")


def sessions(database: Database, application_name: str) -> int:
    """Return how many sessions have this name."""
    query = f"select count(*) from pg_stat_activity where application_name = '{application_name}'"
    return int(database.psql(query))


@contextmanager
def fence_held(database: Database, application_name: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """Keep the fence's row FOR SHARE, as a stopped process in the middle of a transaction does."""
    connection = psycopg.connect(database.uri, application_name=application_name)
    try:
        connection.execute("select from pgstrata.fence for share")
        yield connection
    finally:
        connection.close()
