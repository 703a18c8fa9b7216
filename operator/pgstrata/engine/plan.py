"""Steps and plans: what a room decides and engine/run.py carries out.

A step is one resumable unit of change. It can die between any two instructions and be run again:
the catalog and the journal, never memory, say whether it is done.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pgstrata.core.api_status import PlanStatus, StepStatus, WorkState
from pgstrata.core.names import TableName
from pgstrata.core.reasons import Reason
from pgstrata.engine.estimate import Work
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.progress import Progress

STEPS_SHOWN = 50


class Gate(StrEnum):
    """What must be given before a step may run."""

    CONTRACT = "Contract"
    """The contract phase was not asked for (spec.through, spec.contractThrough)."""
    APPROVAL = "Approval"
    """A person must agree to the hash of what is asked for."""
    WINDOW = "Window"
    """A maintenance window must be open."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a person reads of a step before it runs."""

    id: str
    """Stable across runs: the journal's key."""
    title: str
    statements: tuple[str, ...] = ()
    tables: tuple[TableName, ...] = ()
    lock: str | None = None
    """The strongest lock mode on tables that exist, or None."""
    gates: tuple[Gate, ...] = ()
    hazards: tuple[str, ...] = ()
    reason: Reason = Reason.PROGRESSING
    """The condition's reason while it runs."""
    approval: str | None = None
    """The hash that a person must agree to before it runs."""
    work: Work | None = None
    """What it does to whole tables in one go, so that it cannot be stopped in between."""
    work_tables: tuple[TableName, ...] = ()


class Step(Protocol):
    """One resumable unit of change."""

    @property
    def outline(self) -> Outline:
        """What it is, without touching anything."""
        ...

    async def probe(self, work: Exclusive) -> bool:
        """Return whether it is done already, by the catalog or the journal."""
        ...

    async def execute(self, work: Exclusive, progress: Progress) -> None:
        """Do it. Must be safe to run again after a death between any two statements."""
        ...

    async def verify(self, work: Exclusive) -> None:
        """Raise VerificationFailed where the catalog does not show what it should."""
        ...

    async def record(self, work: Exclusive) -> None:
        """Write it into the journal, where execute has not done so in its own transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that are to be run now, and those that are only shown."""

    steps: tuple[Step, ...]
    shown: tuple[Outline, ...] = ()
    """Steps behind a gate that nobody has opened."""
    summary: str = ""

    @property
    def outlines(self) -> tuple[Outline, ...]:
        """All steps as a person reads them, gated ones last."""
        return (*(step.outline for step in self.steps), *self.shown)


def gate_text(outline: Outline, approved: Collection[str] = ()) -> str | None:
    """Return the gates that a step waits at, for people; None: none."""
    is_open = outline.approval in approved
    shut = [gate for gate in outline.gates if not (gate is Gate.APPROVAL and is_open)]
    return ", ".join(shut) or None


def hash_of(parts: Iterable[str]) -> str:
    """Return the hash of what was asked: of source text and options, never of progress."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:16]


def plan_status(
    plan: Plan,
    *,
    done: int = 0,
    first: WorkState = WorkState.PENDING,
    approved: Collection[str] = (),
) -> PlanStatus:
    """Return the part of a plan that fits into a status. Its hash is the first not approved yet.

    Args:
        done: so many steps are left out.
        first: the state of the step behind them; all others are pending.
        approved: hashes that were agreed to.
    """
    outlines: Sequence[Outline] = plan.outlines[done:]
    waiting = (s.outline.approval for s in plan.steps[done:] if s.outline.approval is not None)
    return PlanStatus(
        hash=next((hash_ for hash_ in waiting if hash_ not in approved), None),
        summary=plan.summary,
        steps=tuple(
            StepStatus(
                id=outline.id,
                title=outline.title,
                state=WorkState.PENDING if number else first,
                gate=gate_text(outline, approved),
                lock=outline.lock,
                tables=tuple(str(t) for t in outline.tables)[:STEPS_SHOWN] or None,
            )
            for number, outline in enumerate(outlines[:STEPS_SHOWN])
        ),
    )
