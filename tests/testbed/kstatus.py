"""The contract that every status a test reads must keep. Called by the cluster tests.

It is kstatus's, as GitOps tools read it, and pgstrata's own: `Reconciling` and `Stalled` are
present only while they are True, `Ready` always says something.
"""

from collections.abc import Mapping
from typing import Any

ONLY_WHILE_TRUE = ("Reconciling", "Stalled")


def assert_kstatus(resource: Mapping[str, Any]) -> None:
    """Fail, showing the status, unless the conditions of a reconciled resource are consistent."""
    generation = resource["metadata"]["generation"]
    status = resource.get("status") or {}
    listed = status.get("conditions") or []
    conditions = {condition["type"]: condition for condition in listed}
    shown = f"generation {generation}, status {status}"

    assert len(conditions) == len(listed), f"a condition type occurs twice: {shown}"
    _assert_generations(generation, status, conditions, shown)
    assert "Ready" in conditions, f"no Ready condition: {shown}"
    for name in ONLY_WHILE_TRUE:
        if name in conditions:
            assert conditions[name]["status"] == "True", f"{name} is left over: {shown}"
    assert not set(ONLY_WHILE_TRUE) <= conditions.keys(), f"Reconciling and Stalled: {shown}"

    ready = conditions["Ready"]["status"]
    if ready == "True":
        assert not conditions.keys() & set(ONLY_WHILE_TRUE), f"Ready, yet not done: {shown}"
    elif ready == "Unknown":
        assert "Reconciling" in conditions, f"Ready is Unknown, but nothing is going on: {shown}"


def _assert_generations(
    generation: int,
    status: Mapping[str, Any],
    conditions: Mapping[str, Mapping[str, Any]],
    shown: str,
) -> None:
    observed = status.get("observedGeneration")
    assert isinstance(observed, int), f"no observedGeneration: {shown}"
    assert 1 <= observed <= generation, f"observedGeneration is ahead: {shown}"
    for name, condition in conditions.items():
        assert condition.get("reason"), f"{name} has no reason: {shown}"
        assert condition.get("lastTransitionTime"), f"{name} has no transition time: {shown}"
        seen = condition.get("observedGeneration")
        assert isinstance(seen, int), f"{name} has no observedGeneration: {shown}"
        assert 1 <= seen <= generation, f"{name} is of a generation yet to come: {shown}"
    if "Ready" in conditions:
        seen = conditions["Ready"]["observedGeneration"]
        assert seen == observed, f"Ready speaks of {seen}, the status of {observed}: {shown}"
