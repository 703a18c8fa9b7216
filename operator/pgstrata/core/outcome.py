"""How one reconcile ended: four outcomes, nothing else leaves a room."""

from dataclasses import dataclass

from pgstrata.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Done:
    """The world is as declared."""

    message: str
    reason: Reason = Reason.SUCCEEDED
    look_again: float | None = None
    """Seconds, where something small is left to do; None: at the resync."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something else comes first; `look_again` in seconds."""

    reason: Reason
    message: str
    look_again: float


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed and will be tried again; `look_again` in seconds, None: by the reason's backoff."""

    reason: Reason
    message: str
    look_again: float | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """A person must act; it is looked at again all the same (engine/backoff.py)."""

    reason: Reason
    message: str


Outcome = Done | Waiting | Retry | Stalled
