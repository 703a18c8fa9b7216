"""A transaction's begin and end go to the server in one round trip each: it must fail as before."""

import secrets

import pytest

from pgstrata.core.errors import ConnectionFailed
from pgstrata.pg.connect import connect
from pgstrata.pg.failures import StatementFailed
from pgstrata.pg.session import Effect, Session, verbatim
from pgstrata.pg.target import Target, parse_url
from tests.testbed.database import Database

TABLE = "create table t (n int primary key, m int unique deferrable initially deferred)"
OPENING = Effect("pg/set_limits", {"lock_ms": "700", "statement_ms": "9000", "local": True})
NO_ROW = Effect("engine/read_claim", {"object": "schema:nowhere"})


async def _open(database: Database) -> Session:
    target = Target(parse_url(database.uri, origin="the test"))
    return await connect(target, application_name=f"trips-{secrets.token_hex(3)}")


async def test_what_opens_a_transaction_holds_inside_it_and_ends_with_it(
    database: Database,
) -> None:
    session = await _open(database)
    before = await session.rows_of("show lock_timeout")
    async with session.transaction(OPENING) as transaction:
        assert transaction.opened == [1]
        assert await session.rows_of("show lock_timeout") == [("700ms",)]
    assert await session.rows_of("show lock_timeout") == before
    await session.close()


@pytest.mark.parametrize("part", ["opening", "closing"])
async def test_what_fails_beside_begin_or_commit_undoes_all_and_spares_the_session(
    database: Database, part: str
) -> None:
    # Without a control schema the text fails: its table is not there.
    opening, closing = ([NO_ROW], []) if part == "opening" else ([], [NO_ROW, OPENING])
    session = await _open(database)
    await session.execute(TABLE)
    with pytest.raises(StatementFailed) as failure:  # noqa: PT012  the transaction is the subject
        async with session.transaction(*opening) as transaction:
            await session.execute("insert into t values (1, 1)")
            transaction.closing.extend(closing)
    assert failure.value.sqlstate == "42P01"
    assert await session.rows_of("select n from t") == []
    await session.close()


@pytest.mark.parametrize("way", ["at once", "opening"])
async def test_what_stands_behind_a_text_that_fails_runs_the_next_time(
    database: Database, way: str
) -> None:
    """psycopg prepares what comes for the sixth time, and takes it for prepared though it was not
    run, since what came before it had failed."""
    session = await _open(database)
    await session.execute("create table divisor as select 1 as d")
    # It takes its time to fail, so that all else is on its way.
    text = verbatim("insert into divisor select 1 / d from divisor, pg_sleep(0.05)")

    async def attempt() -> None:
        if way == "at once":
            await session.at_once(text, OPENING, statement_ms=0)
        else:
            async with session.transaction(text, OPENING):
                pass

    for _ in range(6):
        await session.execute("update divisor set d = 1")
        await attempt()
        await session.execute("update divisor set d = 0")
        with pytest.raises(StatementFailed, match="division by zero"):
            await attempt()
    await session.close()


async def test_a_constraint_that_fails_at_commit_is_what_is_raised(database: Database) -> None:
    session = await _open(database)
    await session.execute(TABLE)
    with pytest.raises(StatementFailed) as failure:  # noqa: PT012  the transaction is the subject
        async with session.transaction() as transaction:
            await session.execute("insert into t values (1, 1), (2, 1)")
            transaction.closing.append(OPENING)
    assert failure.value.sqlstate == "23505"
    assert await session.rows_of("select n from t") == []
    await session.close()


async def test_a_session_that_ended_is_told_as_lost(database: Database) -> None:
    session = await _open(database)
    with database.connect() as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [session.pid])
    with pytest.raises(ConnectionFailed):
        async with session.transaction(OPENING):
            pass
    assert not session.is_open
    await session.close()
