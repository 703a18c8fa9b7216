"""The application that goes on writing while its schema is changed; a process of its own.

    python -m tests.testbed.monitoring.writer --uri URI [--connections N] [--rate N] [--seed N]

Started by writer_process.py, or by hand. Prints `ready`, works until its standard input ends or it
is sent SIGTERM or SIGINT, then prints one line of JSON (latencies.Report). Whoever starts it holds
the other end of its standard input; so it also ends when that process dies, however it dies.

Operations are due at a steady rhythm, whether or not the one before is done, and a statement's
latency counts from when it was due. A stall thus costs all that should have happened meanwhile,
not one statement ("coordinated omission" would hide the rest). After a lost connection the
operation is tried again, still due when it was; so an outage shows as a stall too.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow

from tests.testbed.monitoring.latencies import Recorder, Report
from tests.testbed.monitoring.workload import READ_CALLERS, Caller, Workload

READY = "ready"
CONNECTIONS = 2
RATE = 80.0

GRACE = 2.0
"""Seconds for what is due when it is stopped; what takes longer is reported as unfinished."""

CONNECT_TIMEOUT = 5
RETRY_PAUSE = 0.1

CANNOT_CONNECT = "08001"
CONNECTION_LOST = "08006"


class _ConnectionLost(Exception):
    """The connection ended under a statement; the operation must be tried again."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When one connection's operations are due, in seconds of the monotonic clock."""

    start: float
    interval: float

    def due(self, number: int) -> float:
        return self.start + number * self.interval


class Stop:
    """The sign to stop, and when it was given."""

    def __init__(self) -> None:
        self.at = float("inf")
        """Seconds of the monotonic clock; infinity before."""
        self._given = asyncio.Event()

    def give(self) -> None:
        if not self._given.is_set():
            self.at = time.monotonic()
            self._given.set()

    async def wait(self) -> None:
        await self._given.wait()


class _Worker:
    """One connection and what is due on it."""

    def __init__(self, uri: str, rhythm: Rhythm, workload: Workload, recorder: Recorder) -> None:
        self._uri = uri
        self._rhythm = rhythm
        self._workload = workload
        self._recorder = recorder
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._done = 0
        self._due = 0.0

    async def work(self, stop: Stop) -> None:
        """Do what is due until `stop`; return when all that was due by then is done."""
        while (due := self._rhythm.due(self._done)) <= stop.at:
            await _sleep_until(due, stop)
            if due <= stop.at:
                await self._perform(due)
                self._done += 1
        if self._connection is not None:
            await self._connection.close()

    def abandon(self, stop: Stop, now: float) -> None:
        """Record all that was due before `stop` and is not done at `now`."""
        while (due := self._rhythm.due(self._done)) <= stop.at:
            self._recorder.abandoned("unfinished operation", due, now)
            self._done += 1

    async def _perform(self, due: float) -> None:
        operation = self._workload.choose()
        while True:
            self._due = due
            try:
                await operation(self._run)
            except _ConnectionLost:
                await asyncio.sleep(RETRY_PAUSE)
            except psycopg.Error:  # counted by _run; the application gives this operation up
                if self._connection is not None:
                    with contextlib.suppress(psycopg.OperationalError):
                        await self._connection.rollback()
                return
            else:
                return

    async def _run(
        self, name: str, statement: LiteralString, parameters: Sequence[object] = ()
    ) -> list[TupleRow]:
        """Run one statement, due when the operation was or when the statement before was answered.

        Raises:
            _ConnectionLost: nothing is recorded but the error; the latency goes on counting.
            psycopg.Error: the statement failed; both its error and its latency are recorded.
        """
        connection = await self._connect()
        try:
            cursor = await connection.execute(statement, parameters)
        except psycopg.Error as error:
            self._recorder.errors[error.sqlstate or CONNECTION_LOST] += 1
            if connection.closed:
                raise _ConnectionLost from error
            self._answered(name)
            raise
        self._answered(name)
        return await cursor.fetchall() if cursor.description else []

    def _answered(self, name: str) -> None:
        now = time.monotonic()
        self._recorder.answered(name, self._due, now)
        self._due = now

    async def _connect(self) -> psycopg.AsyncConnection[TupleRow]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if self._connection is not None:
            self._recorder.reconnects += 1
            self._connection = None
        try:
            self._connection = await open_connection(self._uri)
        except psycopg.OperationalError as error:
            self._recorder.errors[error.sqlstate or CANNOT_CONNECT] += 1
            raise _ConnectionLost from error
        return self._connection


async def open_connection(uri: str) -> psycopg.AsyncConnection[TupleRow]:
    """Connect as the application does: autocommit, and nothing that a pooler would not carry."""
    return await psycopg.AsyncConnection.connect(
        uri,
        autocommit=True,
        prepare_threshold=None,
        application_name="dashboard",
        connect_timeout=CONNECT_TIMEOUT,
    )


async def _sleep_until(due: float, stop: Stop) -> None:
    """Return at `due` or as soon as `stop` is given; at once if it is past."""
    pause = due - time.monotonic()
    if pause > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()


async def write(uri: str, connections: int, rate: float, seed: int, stop: Stop) -> Report:
    """Work until `stop` is given, then report, at the latest after GRACE.

    Raises:
        psycopg.OperationalError: the database cannot be reached at the start.
        LookupError: no key is there to make calls with.
    """
    async with await open_connection(uri) as connection:
        callers = [
            Caller(*row) for row in await (await connection.execute(READ_CALLERS)).fetchall()
        ]
    if not callers:
        raise LookupError("api_keys is empty: fill the database first (generator.py)")
    recorder = Recorder(epoch=time.time() - time.monotonic())

    def confirmed(rows: int) -> None:
        recorder.rows_inserted += rows

    start = time.monotonic()
    workers = []
    for number in range(connections):
        rng = Random(f"{seed}/{number}")  # noqa: S311 - chooses operations, hides nothing
        rhythm = Rhythm(start + number / rate, connections / rate)
        workers.append(_Worker(uri, rhythm, Workload(callers, rng, confirmed), recorder))
    tasks = [asyncio.create_task(worker.work(stop)) for worker in workers]
    print(READY, flush=True)
    ending = asyncio.create_task(stop.wait())
    await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(tasks, timeout=GRACE)
    for worker, task in zip(workers, tasks, strict=True):
        if task.done():
            task.result()
        else:
            worker.abandon(stop, time.monotonic())
    return recorder.report()


async def main() -> int:
    """Return the exit status after printing the report, or why there is none."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed.monitoring.writer")
    parser.add_argument("--uri", required=True, help="the database, as libpq takes it")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--rate", type=float, default=RATE, help="operations a second, in all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        stop = _watch_for_stop()
    except PermissionError:
        parser.error("standard input must be a pipe or a terminal: its end is the sign to stop")
    try:
        report = await write(options.uri, options.connections, options.rate, options.seed, stop)
    except (psycopg.Error, LookupError) as error:
        print(error, file=sys.stderr)
        return 1
    with contextlib.suppress(BrokenPipeError):
        print(report.to_json(), flush=True)
    return 0


def _watch_for_stop() -> Stop:
    """Return what SIGTERM, SIGINT and the end of standard input give."""
    stop = Stop()
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.give()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.give)
    loop.add_reader(sys.stdin.fileno(), look)
    return stop


async def _run_and_leave() -> None:
    """End the process at once: an abandoned statement may wait for a server that never answers."""
    os._exit(await main())


if __name__ == "__main__":
    asyncio.run(_run_and_leave())
