"""`pgstrata apply`: reconcile manifests without a cluster until all are Ready.

The same rooms and the same driver as the operator; only the object store differs. Each resource has
a loop of its own; the command ends when every one is Ready or Stalled, or when the time is up.
"""

import asyncio
import signal
import socket
from dataclasses import dataclass, field
from enum import IntEnum

from pgstrata.cli.file_store import FileStore, Listener, SystemClock, WarningListener
from pgstrata.cli.kinds import HANDLERS
from pgstrata.cli.manifests import Manifests
from pgstrata.cli.url_databases import UrlDatabases
from pgstrata.core.interrupt import Cause, Interrupt
from pgstrata.core.reasons import PATIENT_REASONS, Reason, Situation
from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.databases.resolve import DatabaseResolver
from pgstrata.engine.claims import ANYONE, CLI_CLUSTER
from pgstrata.engine.context import Databases
from pgstrata.engine.drive import EngineDriver

_LONGEST_PAUSE = 5.0
_STOP_SECONDS = 5.0
_FOR_A_PERSON = frozenset(
    {
        Reason.WAITING_FOR_WINDOW,
        Reason.APPROVAL_PENDING,
        Reason.CONTRACT_PENDING,
        Reason.SUSPENDED,
    }
)
"""What no look of this command will change: a window opens later, a person agrees or not."""
_HOPELESS = PATIENT_REASONS | {Reason.AUTHENTICATION_FAILED, Reason.TLS_FAILED}


class ExitCode(IntEnum):
    """What the command's exit status means."""

    READY = 0
    STALLED = 2
    TIMED_OUT = 3
    WAITING = 4
    USAGE = 64
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Applied:
    """How it ended."""

    resources: tuple[RawResource, ...]
    exit_code: ExitCode


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What the command line asks for."""

    database_url: str | None
    take_over: bool
    timeout: float
    """Seconds."""
    approve: frozenset[str] = frozenset()
    """Hashes of plans that are agreed to, or approvals.ALL."""
    ignore_windows: bool = False


async def apply(
    manifests: Manifests,
    options: ApplyOptions,
    on_status: Listener,
    on_warning: WarningListener,
) -> Applied:
    """Reconcile until done; SIGINT and SIGTERM stop at the next boundary, a second one at once."""
    store = FileStore(manifests, on_status, on_warning)
    databases: Databases = (
        UrlDatabases(store, options.database_url)
        if options.database_url is not None
        else DatabaseResolver(store)
    )
    driver = EngineDriver(
        handlers=HANDLERS,
        store=store,
        databases=databases,
        clock=SystemClock(),
        cluster=CLI_CLUSTER,
        holder=f"{CLI_CLUSTER}/{socket.gethostname()}",
        take_over=ANYONE if options.take_over else None,
        approve=options.approve,
        ignore_windows=options.ignore_windows,
        hopeless=_HOPELESS,
    )
    interrupt = Interrupt()
    _listen(interrupt)
    crowd = _Crowd(driver, store, interrupt, {raw.key for raw in store.resources})
    loops = [
        asyncio.create_task(crowd.until_settled(raw.key), name=str(raw.key))
        for raw in _in_order(store.resources)
    ]
    timed_out = False
    try:
        async with asyncio.timeout(options.timeout):
            await asyncio.gather(*loops)
    except TimeoutError:
        timed_out = True
        await _stop(loops, interrupt)
    return Applied(store.resources, _exit_code(store.resources, interrupt, timed_out=timed_out))


@dataclass(slots=True)
class _Crowd:
    """The resources of one run, each looked at until nothing more will come of it."""

    driver: EngineDriver
    store: FileStore
    interrupt: Interrupt
    unsettled: set[ObjectKey]
    settled: int = 0
    """How many have come to their end."""
    in_vain: dict[ObjectKey, int] = field(default_factory=dict)
    """Of those that wait for another: how many had come to their end when they last looked."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when one leaves."""

    async def until_settled(self, key: ObjectKey) -> None:
        """Look at one resource until it is settled, or waits for what nobody here will do."""
        while not self.interrupt.requested:
            raw = await self.store.read(key)
            if raw is None:
                break
            before, news = self.settled, self.news
            look = await self.driver.reconcile(raw, self.interrupt)
            reason = look.outcome.reason
            if look.stalled or reason.situation is Situation.READY or reason in _FOR_A_PERSON:
                break
            self.in_vain.pop(key, None)
            if reason is Reason.DEPENDENCY_NOT_READY:
                self.in_vain[key] = before
                if self._is_stuck:
                    return self._leave(key)
            await self._pause(min(look.look_again or 0.0, _LONGEST_PAUSE), news)
        self.settled += 1
        self._leave(key)

    def _leave(self, key: ObjectKey) -> None:
        self.unsettled.discard(key)
        self.news.set()
        self.news = asyncio.Event()

    @property
    def _is_stuck(self) -> bool:
        """Whether all that is left waits for one another, and has looked since the last end."""
        return all(self.in_vain.get(key) == self.settled for key in self.unsettled)

    async def _pause(self, seconds: float, news: asyncio.Event) -> None:
        """Wait, but not beyond the end of another one or the wish to stop."""
        waits = [asyncio.create_task(w) for w in (news.wait(), self.interrupt.wait_soft())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


async def _stop(loops: list[asyncio.Task[None]], interrupt: Interrupt) -> None:
    """End what still runs: at a boundary if that comes soon, else in the middle."""
    interrupt.soft(Cause.SHUTDOWN)
    _, late = await asyncio.wait(loops, timeout=_STOP_SECONDS)
    interrupt.hard(Cause.SHUTDOWN)
    if late:
        _, late = await asyncio.wait(late, timeout=_STOP_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


def _listen(interrupt: Interrupt) -> None:
    def asked() -> None:
        if interrupt.requested:
            interrupt.hard(Cause.SHUTDOWN)
        interrupt.soft(Cause.SHUTDOWN)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)


def _in_order(resources: tuple[RawResource, ...]) -> list[RawResource]:
    order = list(HANDLERS)
    return sorted(resources, key=lambda raw: (order.index(raw.key.kind), raw.key))


def _exit_code(
    resources: tuple[RawResource, ...], interrupt: Interrupt, *, timed_out: bool
) -> ExitCode:
    conditions = [condition_of(raw, "Ready")["status"] for raw in resources]
    if any(condition_of(raw, "Stalled")["status"] == "True" for raw in resources):
        return ExitCode.STALLED
    if all(status == "True" for status in conditions):
        return ExitCode.READY
    if interrupt.requested and not timed_out:
        return ExitCode.INTERRUPTED
    return ExitCode.TIMED_OUT if timed_out else ExitCode.WAITING


def condition_of(raw: RawResource, type_: str) -> dict[str, str]:
    """Return a condition's texts; all empty where the resource does not have it."""
    found = raw.status.get("conditions")
    for condition in found if isinstance(found, list) else []:
        if isinstance(condition, dict) and condition.get("type") == type_:
            return {str(name): str(value) for name, value in condition.items()}
    return {"status": "", "reason": "", "message": ""}
