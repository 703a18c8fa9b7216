"""The seam between whoever notices that a resource needs a look and whoever takes that look.

Implemented by engine/drive.py; called by app/ (woken by watch events) and cli/ (in a loop until all
is ready). The caller sees to it that no two calls for one key run at once.
"""

from dataclasses import dataclass
from typing import Protocol

from pgstrata.core.interrupt import Interrupt
from pgstrata.core.outcome import Outcome
from pgstrata.core.resource import ObjectKey, RawResource


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a resource found and when the next one is due."""

    outcome: Outcome
    look_again: float | None
    """Seconds until the next look; None: only when something wakes it, or at the resync."""
    stalled: bool = False
    """Whether a person must act; some reasons count as that only after a while."""


class Driver(Protocol):
    """Takes one level-based look at a resource and makes the world as it declares."""

    async def reconcile(self, raw: RawResource, interrupt: Interrupt) -> Look:
        """Reconcile one object that is not being deleted, and write its status.

        Heeds `interrupt`. Raises only what the API server's own failures raise (ApiError).
        """
        ...

    async def clean_up(self, raw: RawResource) -> None:
        """Undo what a deleted object left, as far as that can be done now, and raise nothing.

        The caller bounds the time (5 s from the deletion) and releases the finalizer whatever
        happened.
        """
        ...

    def references(self, raw: RawResource) -> frozenset[ObjectKey]:
        """The objects (kind Secret, ConfigMap, ManagedDatabase) whose change wakes this one."""
        ...
