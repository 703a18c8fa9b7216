"""The operator's runtime with a driver that only records: a process of its own for the tests.

`python -m tests.cluster.runtime_process TRACE KUBECONFIG`, settings from the environment. For every
call the driver appends a JSON line to TRACE; what a call does is said by the resource's name:

    plain-*     holds no finalizer          soft-*      runs until asked softly to stop
    faulty-*    fails unexpectedly twice    hard-*      runs until interrupted hard
    stubborn-*  never ends, whatever happens; so does its clean-up
    messy-*     its clean-up never ends     broken-*    its clean-up fails
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from pydantic import JsonValue

from pgstrata.app import deletions, runs
from pgstrata.app.logs import configure_logging
from pgstrata.app.operator import run_operator
from pgstrata.app.settings import Settings
from pgstrata.core.driver import Driver, Look
from pgstrata.core.interrupt import Interrupt
from pgstrata.core.outcome import Done
from pgstrata.core.resource import RECONCILE_ANNOTATION, ObjectKey, ObjectStore, RawResource

FAULTS = 2
STRETCH = "TEST_STRETCH"
"""The variable with the factor by which a deletion's times are longer here; unset: 1."""


class RecordingDriver:
    """A Driver that does nothing but say what it was told to do."""

    def __init__(self, store: ObjectStore, cluster_id: str, trace: Path) -> None:
        self._store = store
        self._trace = trace
        self._looks: Counter[str] = Counter()
        self._say("made", cluster=cluster_id)

    async def reconcile(self, raw: RawResource, interrupt: Interrupt) -> Look:
        name = raw.key.name
        self._looks[raw.uid] += 1
        self._say("look", raw, generation=raw.generation, nth=self._looks[raw.uid])
        if name.startswith("faulty-") and self._looks[raw.uid] <= FAULTS:
            raise RuntimeError("a fault, as ordered")
        if not name.startswith("plain-"):
            await self._store.ensure_finalizer(raw)
        self._say("begun", raw)
        await self._run(raw, interrupt)
        self._say("stopped", raw, cause=str(interrupt.cause))
        await self._store.write_status(raw, _status(raw))
        self._say("ended", raw, cause=str(interrupt.cause))
        return Look(Done("recorded"), None)

    async def clean_up(self, raw: RawResource) -> None:
        self._say("clean_up", raw)
        if raw.key.name.startswith("broken-"):
            raise RuntimeError("a clean-up that fails, as ordered")
        if raw.key.name.startswith(("messy-", "stubborn-")):
            await _never_end()

    def references(self, raw: RawResource) -> frozenset[ObjectKey]:
        found = {
            ObjectKey("ManagedDatabase", raw.key.namespace, name)
            for name in _texts(raw.spec, "databaseRef", "name")
        }
        found |= {
            ObjectKey("Secret", raw.key.namespace, name)
            for name in _texts(raw.spec, "connection", "secretRef", "name")
        }
        found |= {
            ObjectKey("ConfigMap", raw.key.namespace, name)
            for name in _texts(raw.spec, "connection", "tls", "caRef", "name")
        }
        return frozenset(found)

    async def _run(self, raw: RawResource, interrupt: Interrupt) -> None:
        name = raw.key.name
        if name.startswith("soft-"):
            await interrupt.wait_soft()
        elif name.startswith("hard-"):
            await interrupt.wait_soft()
            self._say("asked", raw)
            await interrupt.wait_hard()
        elif name.startswith("stubborn-"):
            await _never_end()

    def _say(self, what: str, raw: RawResource | None = None, **more: JsonValue) -> None:
        line = {"at": time.time(), "what": what, "key": str(raw.key) if raw else "", **more}
        with self._trace.open("a") as trace:
            trace.write(json.dumps(line) + "\n")


async def _never_end() -> None:
    for _ in itertools.count():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


def _status(raw: RawResource) -> dict[str, JsonValue]:
    condition: dict[str, JsonValue] = {
        "type": "Ready",
        "status": "True",
        "reason": "Succeeded",
        "message": "recorded",
        "observedGeneration": raw.generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status: dict[str, JsonValue] = {
        "observedGeneration": raw.generation,
        "conditions": [condition],
    }
    if asked := raw.annotations.get(RECONCILE_ANNOTATION):
        status["lastHandledReconcileAt"] = asked
    return status


def _texts(value: object, *path: str) -> list[str]:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return [value] if isinstance(value, str) else []


def _stretch(factor: float) -> None:
    for module, name in (
        (runs, "HARD_AFTER"),
        (runs, "CANCEL_AFTER"),
        (runs, "GIVE_UP_AFTER"),
        (deletions, "CLEAN_UP_UNTIL"),
    ):
        setattr(module, name, getattr(module, name) * factor)


def main() -> int:
    trace, kubeconfig = sys.argv[1:]
    configure_logging()
    _stretch(float(os.environ.get(STRETCH, "1")))

    def make_driver(store: ObjectStore, cluster_id: str) -> Driver:
        return RecordingDriver(store, cluster_id, Path(trace))

    settings = Settings.from_environment(os.environ)
    return asyncio.run(run_operator(settings, make_driver, kubeconfig))


if __name__ == "__main__":
    sys.exit(main())
