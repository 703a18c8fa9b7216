"""The parts of a status that all kinds share: conditions, plan, progress.

engine/status builds them; spec.py of each room puts them into its status model.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from pgstrata.core.api_model import ApiModel
from pgstrata.core.api_values import Clipped, Count, Duration, First, ListMap, Number, Timestamp

STATUS_LIST_MAX = 50
"""Entries that a list in a status may have."""
STEP_TABLES_MAX = 16
"""Tables of a step that the plan names; 50 steps of 50 tables would not fit into one object."""

TABLE_NAME_MAX = 257
"""Two quoted identifiers of 63 characters, each doubled at worst, and a dot."""

TableText = Annotated[str, Clipped(TABLE_NAME_MAX)]
"""A qualified table name as a person reads it."""


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionModel(ApiModel):
    """One aspect of the resource's state, in the form of metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Ready, Reconciling, Stalled, or one of the kind's own."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Count | None = None
    """The generation of the spec that this condition speaks of."""
    last_transition_time: Timestamp
    """When `status` last changed."""
    reason: Annotated[
        str,
        Field(min_length=1, max_length=63, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    """One word for programs; the list is part of the API."""
    message: Annotated[str, Clipped(32768)]
    """What is so, where, and what to do next, for people."""


class WorkState(StrEnum):
    """How far a step, or a phase of a version, is."""

    PENDING = "Pending"
    RUNNING = "Running"
    DONE = "Done"
    FAILED = "Failed"


class StepStatus(ApiModel):
    """One step of the plan."""

    id: Annotated[str, Field(min_length=1), Clipped(253)]
    """Stable across runs: the journal's key."""
    title: Annotated[str, Clipped(512)]
    """What it does."""
    state: WorkState
    """How far it is."""
    gate: Annotated[str, Clipped(63)] | None = None
    """What must be given before it may run; absent: nothing."""
    lock: Annotated[str, Clipped(63)] | None = None
    """The strongest lock that it takes; absent: none that others feel."""
    tables: Annotated[tuple[TableText, ...], First(STEP_TABLES_MAX)] | None = None
    """The tables that it locks; the first 16."""


class PlanStatus(ApiModel):
    """What is about to be done, as far as it fits; `pgstrata plan` shows all of it."""

    hash: Annotated[str, Field(max_length=128)] | None = None
    """Identifies what was asked for, whatever the progress."""
    summary: Annotated[str, Clipped(1024)]
    """The plan in one sentence."""
    steps: Annotated[tuple[StepStatus, ...], First(STATUS_LIST_MAX)] = ()
    """The first 50 steps that are not done yet."""


class ProgressStatus(ApiModel):
    """How far the running step is; absent while nothing runs."""

    step: Annotated[str, Clipped(253)]
    """The id of the step."""
    done: Count
    """Units done."""
    total: Count | None = None
    """Units in all, where that is known or can be estimated."""
    unit: Annotated[str, Clipped(63)]
    """What is counted: rows, blocks, steps."""
    rate: Number | None = None
    """Units a second."""
    eta: Duration | None = None
    """Time that is left at this rate."""
    throttled_by: Annotated[str, Clipped(253)] | None = None
    """What it waits for; absent: nothing."""


Conditions = Annotated[tuple[ConditionModel, ...], Field(max_length=16), ListMap("type")]
"""The list `status.conditions`: a map by type."""


class KindStatus(ApiModel):
    """What the status of every kind has."""

    observed_generation: Count | None = None
    """The generation of the spec that this status speaks of."""
    conditions: Conditions = ()
    """Ready, and Reconciling or Stalled while they are true."""
    last_handled_reconcile_at: Annotated[str, Clipped(253)] | None = None
    """Echo of the annotation reconcile.pgstrata.dev/requestedAt that was last obeyed."""
