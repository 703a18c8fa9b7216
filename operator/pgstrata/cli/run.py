"""`pgstrata run`: wires the operator process from its settings and the rooms."""

import asyncio
import os
import socket

from pgstrata.app.logs import configure_logging
from pgstrata.app.operator import run_operator
from pgstrata.app.settings import Settings
from pgstrata.cli.file_store import SystemClock
from pgstrata.cli.kinds import HANDLERS
from pgstrata.core.driver import Driver
from pgstrata.core.resource import ObjectStore
from pgstrata.databases.resolve import DatabaseResolver
from pgstrata.engine.drive import EngineDriver


def run_operator_process(kubeconfig: str | None) -> int:
    """Run until SIGTERM, or until the API server is lost for good; return the exit status."""
    settings = Settings.from_environment(os.environ)
    configure_logging()
    return asyncio.run(run_operator(settings, _make_driver, kubeconfig))


def _make_driver(store: ObjectStore, cluster: str) -> Driver:
    return EngineDriver(
        handlers=HANDLERS,
        store=store,
        databases=DatabaseResolver(store),
        clock=SystemClock(),
        cluster=cluster,
        holder=f"{cluster}/{socket.gethostname()}_{os.getpid()}",
    )
