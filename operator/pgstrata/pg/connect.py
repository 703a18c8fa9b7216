"""Opens sessions: the one way to a database, for the operator and for the command line.

Promises: within the connect timeout; on a server that takes writes; not through a transaction
pooler; with TCP keepalives and a check of dead clients; without reading files, services or
passwords from the environment unless the target itself says so. Raises core/errors.py's reasons.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import class_row

from pgstrata.core.errors import ConnectionFailed, PoolerUnsupported, ReadOnlyDatabase
from pgstrata.pg.failures import translate_connect, translated
from pgstrata.pg.pooler import Pooler, is_direct, pooling_mode
from pgstrata.pg.session import ServerFacts, Session
from pgstrata.pg.target import Target, TLSFiles
from pgstrata.pg.texts import load

_KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_CLOSE_MARGIN = 1.0
_GREETING_SECONDS = 10.0
"""For what is asked of a server before work begins, pooler test included."""


async def connect(target: Target, *, schema: str = "public", application_name: str) -> Session:
    """Open one session with its settings in place.

    Raises ConnectionFailed, AuthenticationFailed, TLSFailed, ReadOnlyDatabase, PoolerUnsupported.
    """
    connection = await _open(target, application_name)
    try:
        async with asyncio.timeout(_GREETING_SECONDS + target.timeouts.connect):
            return await _greet(connection, target, schema, application_name)
    except TimeoutError:
        connection.pgconn.finish()
        raise ConnectionFailed(
            f"{target.label}: the server let us in and then did not answer"
        ) from None
    except BaseException:
        connection.pgconn.finish()
        raise


async def _greet(
    connection: AsyncConnection, target: Target, schema: str, application_name: str
) -> Session:
    """See who answers, and put the session's settings in place."""
    session = await _introduce(connection, target)
    if session.facts.in_recovery or session.facts.read_only:
        raise ReadOnlyDatabase(_read_only_text(session))
    if not is_direct(connection, session.pid):
        await _refuse_transaction_pooler(connection, target, application_name)
    await session.prepare(schema=schema, application_name=application_name)
    return session


async def pooler_of(session: Session) -> Pooler:
    """What stands between this session and the server; transaction poolers never get this far."""
    direct = is_direct(session._connection, session.pid)
    return Pooler.NONE if direct else Pooler.SESSION


async def _open(target: Target, application_name: str) -> AsyncConnection:
    seconds = target.timeouts.connect
    try:
        async with asyncio.timeout(seconds + _CLOSE_MARGIN), _tls_files(target.tls) as files:
            parameters = {
                **_KEEPALIVE,
                "application_name": application_name,
                **target.parameters,
                **files,
                "client_encoding": "UTF8",
                "connect_timeout": str(max(2, round(seconds))),
            }
            return await AsyncConnection.connect(make_conninfo("", **parameters), autocommit=True)
    except TimeoutError:
        raise ConnectionFailed(f"{target.label}: no answer within {seconds:g} s") from None
    except psycopg.Error as error:
        raise translate_connect(error, target.label) from None
    except UnicodeError:
        raise ConnectionFailed(f"{target.label}: this cannot be a host's name") from None


async def _introduce(connection: AsyncConnection, target: Target) -> Session:
    with translated():
        async with asyncio.timeout(target.timeouts.connect + _CLOSE_MARGIN):
            cursor = connection.cursor(row_factory=class_row(ServerFacts))
            await cursor.execute(load("pg/hello"), prepare=False)
            facts = await cursor.fetchone()
    if facts is None:
        raise AssertionError("pg/hello has one row")
    return Session(connection, target, facts)


async def _refuse_transaction_pooler(
    connection: AsyncConnection, target: Target, application_name: str
) -> None:
    second = await _open(target, application_name)
    try:
        mode = await pooling_mode(connection, second)
    finally:
        second.pgconn.finish()
    if mode is Pooler.TRANSACTION:
        raise PoolerUnsupported(
            f"{target.label}: a transaction pooler answers here, behind which session locks do not "
            "hold; give the Secret the address of the server itself, or of a pooler in session mode"
        )


def _read_only_text(session: Session) -> str:
    if session.facts.in_recovery:
        return f"{session.target.label}: the server is a standby; give the address of the primary"
    return f"{session.target.label}: default_transaction_read_only is on for this role or database"


@asynccontextmanager
async def _tls_files(tls: TLSFiles) -> AsyncIterator[Mapping[str, str]]:
    """Write PEM texts where libpq can read them, in a private folder that is gone afterwards."""
    wanted = {
        "sslrootcert": tls.root_certificate,
        "sslcert": tls.certificate,
        "sslkey": tls.key,
    }
    present = {name: text for name, text in wanted.items() if text is not None}
    if not present:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="pgstrata-") as folder:
        paths = {}
        for name, text in present.items():
            path = Path(folder) / name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
            paths[name] = str(path)
        yield paths
