"""assert_kstatus accepts what the API promises and catches each way of breaking it."""

from typing import Any

import pytest

from tests.testbed.kstatus import assert_kstatus


def condition(kind: str, status: str, generation: int = 2) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": "Some",
        "lastTransitionTime": "2030-01-01T00:00:00Z",
        "observedGeneration": generation,
    }


def resource(*conditions: dict[str, Any], observed: int | None = 2) -> dict[str, Any]:
    status = {"conditions": list(conditions), "observedGeneration": observed}
    return {"metadata": {"generation": 2}, "status": status}


READY = condition("Ready", "True")
NOT_READY = condition("Ready", "False")
UNKNOWN = condition("Ready", "Unknown")
RECONCILING = condition("Reconciling", "True")
STALLED = condition("Stalled", "True")


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(resource(READY), id="done"),
        pytest.param(resource(NOT_READY, RECONCILING), id="working on it"),
        pytest.param(resource(UNKNOWN, RECONCILING), id="just begun"),
        pytest.param(resource(NOT_READY, STALLED), id="a person must help"),
        pytest.param(resource(NOT_READY), id="waiting, neither working nor stalled"),
        pytest.param(
            resource(condition("Ready", "True", 1), observed=1), id="a new spec not yet seen"
        ),
    ],
)
def test_a_consistent_status_passes(good: dict[str, Any]) -> None:
    assert_kstatus(good)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (resource(), "no Ready condition"),
        (resource(READY, READY), "occurs twice"),
        (resource(NOT_READY, RECONCILING, STALLED), "Reconciling and Stalled"),
        (resource(READY, condition("Stalled", "False")), "left over"),
        (resource(READY, RECONCILING), "not done"),
        (resource(UNKNOWN), "nothing is going on"),
        (resource(READY, observed=None), "no observedGeneration"),
        (resource(condition("Ready", "True", 3), observed=3), "ahead"),
        (resource(NOT_READY, condition("Stalled", "True", 3)), "yet to come"),
        (resource(condition("Ready", "True", 1)), "Ready speaks of 1"),
    ],
)
def test_an_inconsistent_status_is_named(bad: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        assert_kstatus(bad)
