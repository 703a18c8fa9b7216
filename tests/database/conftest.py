"""What the database tests have besides servers and databases: a connection pool in front, and the
command line."""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from random import Random

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.pgbouncer import PgBouncer, PoolMode
from tests.testbed.postgres import PostgresServer
from tests.testbed.scratch import scratch
from tests.testbed.skipping import cannot
from tests.testbed.unavailable import Unavailable

MakePgBouncer = Callable[..., PgBouncer]


@pytest.fixture
def make_pgbouncer() -> Iterator[MakePgBouncer]:
    """Start a pgbouncer: make_pgbouncer(server, mode=PoolMode.SESSION, users={name: password})."""
    with ExitStack() as stack:

        def make(
            server: PostgresServer,
            mode: PoolMode = PoolMode.TRANSACTION,
            users: Mapping[str, str] | None = None,
        ) -> PgBouncer:
            directory = stack.enter_context(scratch("bouncer"))
            try:
                return stack.enter_context(PgBouncer.start(server, directory, mode, users))
            except Unavailable as reason:
                cannot(reason)

        yield make


@pytest.fixture(scope="session")
def shared_command_line() -> Iterator[CommandLine]:
    """The process that all runs of the command line are forked from."""
    with scratch("runs") as directory, CommandLine(directory) as command_line:
        yield command_line


@pytest.fixture
def pgstrata(shared_command_line: CommandLine) -> Iterator[CommandLine]:
    """Run the command line: pgstrata.run("plan", ...), pgstrata.apply(documents, url)."""
    yield shared_command_line
    shared_command_line.end_all()


@pytest.fixture
def chance() -> Random:
    """What tests draw places and moments from. The seed is printed; PGSTRATA_TEST_SEED sets it."""
    seed = os.environ.get("PGSTRATA_TEST_SEED") or secrets.token_hex(4)
    print(f"PGSTRATA_TEST_SEED={seed}")
    return Random(seed)  # noqa: S311 - where a run is killed is no secret
