"""Measures how long applications stall: threads that do the same small statement again and again.

One of them works on a table that nobody locks. What stalls it too is the machine, not the lock, and
is taken off (`Stalls.beyond`).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import LiteralString, Self

from tests.testbed.database import Database

CONTROL: LiteralString = "insert into unhindered values (1)"


class Repeated:
    """One statement, repeated by a thread; each repetition is timed from send to answer."""

    def __init__(self, database: Database, statement: LiteralString) -> None:
        """Start with `with`; the statement runs on a connection of its own."""
        self._database = database
        self._statement = statement
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest = 0.0
        self.count = 0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with self._database.connect() as connection:
            while not self._stop.is_set():
                self._started = time.monotonic()
                connection.execute(self._statement)
                self.longest = max(self.longest, time.monotonic() - self._started)
                self.count += 1
                self._stop.wait(0.005)


class Stalls:
    """Applications at work, and one beside them that no lock touches."""

    def __init__(self, repeated: dict[str, Repeated], control: Repeated) -> None:
        """Made by applications()."""
        self._repeated = repeated
        self._control = control

    @property
    def repetitions(self) -> int:
        """How often the rarest statement was done."""
        return min(each.count for each in (*self._repeated.values(), self._control))

    def beyond(self) -> dict[str, float]:
        """Seconds of the longest stall of each statement, without what stalled the control too."""
        return {name: each.longest - self._control.longest for name, each in self._repeated.items()}


@contextmanager
def applications(database: Database, **statements: LiteralString) -> Iterator[Stalls]:
    """Run the statements beside the block; read the stalls after it."""
    database.psql("create unlogged table if not exists unhindered (n int)")
    with ExitStack() as stack:
        repeated = {
            name: stack.enter_context(Repeated(database, text)) for name, text in statements.items()
        }
        yield Stalls(repeated, stack.enter_context(Repeated(database, CONTROL)))
