"""Watches over the CustomResourceDefinitions: which are missing, and which are of an older release.

Run by operator.py in every process, leading or standing by, so that each says what it lacks. What
changes is told once, in the log and to whoever asked for it: kinds that come later are served then,
and statuses are written whole once the definitions have been upgraded.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pgstrata.core.api_model import GROUP
from pgstrata.kube.client import ApiError, JsonObject, KubeClient
from pgstrata.kube.definitions import CURE, fields_missing, served_kinds

_WHILE_MISSING: Final = 2.0
_EVERY: Final = 30.0
_PATIENCE: Final = 120.0
"""How long a kind may be missing before that is no matter of seconds any more."""

log = logging.getLogger(__name__)


class Definitions:
    """What is known of them."""

    def __init__(
        self, client: KubeClient, *, plurals: Mapping[str, str], schemas: Mapping[str, JsonObject]
    ) -> None:
        """`plurals` and `schemas` (structural ones) of each kind that shall be served."""
        self.problem = "not known yet which CustomResourceDefinitions are installed"
        """Why not everything can be served; empty: it can."""
        self.lacking: Mapping[str, Sequence[str]] = {}
        """What the definitions lack, by kind."""
        self._client = client
        self._plurals = dict(plurals)
        self._schemas = schemas
        self._installed = {plural: asyncio.Event() for plural in plurals.values()}
        self._any = asyncio.Event()
        self._told = ""
        self._missing_since: float | None = None
        self._is_doubted = False
        """What was all there is not, by one look: an API server that starts says so, too."""
        self._compared = (-_EVERY, frozenset[str]())
        """When the definitions were last compared, and which there were."""
        self._on_change: list[Callable[[], None]] = []

    @property
    def installed(self) -> frozenset[str]:
        """The plurals of the kinds that were there at any time."""
        return frozenset(plural for plural, event in self._installed.items() if event.is_set())

    async def wait_any(self) -> None:
        """Wait until there is a kind to be served."""
        await self._any.wait()

    async def wait_installed(self, plural: str) -> None:
        """Wait until this kind is there."""
        await self._installed[plural].wait()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called, now and whenever `lacking` has changed."""
        self._on_change.append(call)
        call()

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            await self._look()
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        now = asyncio.get_running_loop().time()
        if not self.problem:
            self._missing_since = None
            return _WHILE_MISSING if self._is_doubted else _EVERY
        self._missing_since = now if self._missing_since is None else self._missing_since
        return _WHILE_MISSING if now - self._missing_since < _PATIENCE else _EVERY / 2

    async def _look(self) -> None:
        try:
            served = await served_kinds(self._client)
        except ApiError as error:
            text = f"cannot see which CustomResourceDefinitions are installed: {error}"
            # Once it was known that is what goes on.
            return self._unseen(text) if self._any.is_set() else self._found(text)
        for plural in served & self._installed.keys():
            self._installed[plural].set()
            self._any.set()
        missing = sorted(f"{plural}.{GROUP}" for plural in self._installed.keys() - served)
        names = ", ".join(missing)
        self._is_doubted = bool(names) and not self.problem and not self._is_doubted
        if self._is_doubted:
            return
        await self._compare(served)
        self._found(
            f"CustomResourceDefinitions are not installed: {names}; {CURE}" if names else ""
        )

    def _found(self, problem: str) -> None:
        if problem == self.problem:
            return
        if problem:
            log.warning("%s", problem)
        else:
            log.info("all CustomResourceDefinitions are installed")
        self.problem = problem

    def _unseen(self, text: str) -> None:
        if text != self._told:
            log.warning("%s", text)
        self._told = text

    async def _compare(self, served: frozenset[str]) -> None:
        """See what the definitions lack; an API server that does not say so changes nothing."""
        now = asyncio.get_running_loop().time()
        last, then = self._compared
        if not served or (served == then and now - last < _EVERY - 1):
            return  # it is all of their schemas, and nothing to be asked for every other second
        self._compared = now, served
        try:
            lacking = await fields_missing(self._client, self._schemas)
        except ApiError as error:
            return self._unseen(f"cannot see what the CustomResourceDefinitions lack: {error}")
        self._told = ""
        if lacking == self.lacking:
            return
        for kind, fields in lacking.items():
            if fields != self.lacking.get(kind):
                log.warning(
                    "the CustomResourceDefinition %s.%s is of an older release than the operator, "
                    "and lacks %s; %s",
                    self._plurals[kind],
                    GROUP,
                    ", ".join(fields),
                    CURE,
                )
        for kind in self.lacking.keys() - lacking.keys():
            log.info("the CustomResourceDefinition of %s lacks nothing any more", kind)
        self.lacking = lacking
        for call in self._on_change:
            call()
