"""Turns a situation into conditions: the one place, exact by kstatus.

Ready is always there; Reconciling or Stalled are there only while they are True. A condition's
lastTransitionTime moves when its status does, and not with its reason. Pure; called by
engine/report.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgstrata.core.api_status import ConditionModel, ConditionStatus
from pgstrata.core.reasons import Reason, Situation

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Claim:
    """One condition's claim about the world, before times are put to it."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


_READY_STATUS = {
    Situation.READY: ConditionStatus.TRUE,
    Situation.WORKING: ConditionStatus.UNKNOWN,
    Situation.WAITING: ConditionStatus.UNKNOWN,
    Situation.RETRY: ConditionStatus.FALSE,
    Situation.STALLED: ConditionStatus.FALSE,
}


def standing(reason: Reason, message: str, *, stalled: bool = False) -> list[Claim]:
    """Return Ready, and Reconciling or Stalled, for a reason.

    Args:
        stalled: the reason has lasted too long and counts as Stalled (a GitOps race).
    """
    situation = Situation.STALLED if stalled else reason.situation
    claims = [Claim(READY, _READY_STATUS[situation], reason, message)]
    if situation is Situation.STALLED:
        claims.append(Claim(STALLED, ConditionStatus.TRUE, reason, message))
    elif situation is not Situation.READY:
        claims.append(Claim(RECONCILING, ConditionStatus.TRUE, reason, message))
    return claims


def conditions(
    claims: Iterable[Claim], before: Sequence[ConditionModel], *, generation: int, now: datetime
) -> tuple[ConditionModel, ...]:
    """Return the conditions that say `claims` of `generation`; unchanged ones keep their times."""
    known = {condition.type: condition for condition in before}
    return tuple(
        ConditionModel(
            type=claim.type,
            status=claim.status,
            reason=claim.reason,
            message=claim.message,
            observed_generation=generation,
            last_transition_time=(
                old.last_transition_time
                if (old := known.get(claim.type)) is not None and old.status == claim.status
                else now.replace(microsecond=0)
            ),
        )
        for claim in claims
    )
