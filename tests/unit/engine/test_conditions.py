"""Conditions by situation, exact by kstatus, and when the next look is due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstrata.core.api_status import ConditionModel, ConditionStatus
from pgstrata.core.outcome import Done, Retry, Stalled, Waiting
from pgstrata.core.reasons import PATIENT_REASONS, Reason, Situation
from pgstrata.engine.backoff import delay
from pgstrata.engine.status import conditions, standing

NOW = datetime(2026, 5, 1, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("reason", list(Reason))
def test_ready_is_always_there_and_the_others_only_while_true(reason: Reason) -> None:
    claims = {claim.type: claim.status for claim in standing(reason, "m")}
    expected = {
        Situation.READY: {"Ready": "True"},
        Situation.WORKING: {"Ready": "Unknown", "Reconciling": "True"},
        Situation.WAITING: {"Ready": "Unknown", "Reconciling": "True"},
        Situation.RETRY: {"Ready": "False", "Reconciling": "True"},
        Situation.STALLED: {"Ready": "False", "Stalled": "True"},
    }
    assert claims == expected[reason.situation]


@pytest.mark.parametrize("reason", sorted(PATIENT_REASONS))
def test_a_race_that_lasts_too_long_is_stalled_with_its_reason(reason: Reason) -> None:
    claims = {claim.type: claim for claim in standing(reason, "m", stalled=True)}
    assert set(claims) == {"Ready", "Stalled"}
    assert claims["Stalled"].reason == reason


def test_a_transition_is_a_change_of_status_and_not_of_reason() -> None:
    earlier = NOW - timedelta(hours=1)
    before = [
        ConditionModel(
            type="Ready",
            status=ConditionStatus.FALSE,
            reason="LockTimeout",
            message="m",
            observed_generation=1,
            last_transition_time=earlier,
        )
    ]
    same = conditions(standing(Reason.CONNECTION_FAILED, "n"), before, generation=2, now=NOW)
    assert same[0].last_transition_time == earlier
    assert (same[0].reason, same[0].observed_generation) == ("ConnectionFailed", 2)
    ready = conditions(standing(Reason.SUCCEEDED, "n"), before, generation=2, now=NOW)
    assert ready[0].last_transition_time == NOW.replace(microsecond=0)


def test_what_is_done_is_looked_at_when_something_wakes_it() -> None:
    assert delay(Done("m"), 1) is None
    assert delay(Done("m", look_again=10.0), 1) == 10.0
    assert delay(Waiting(Reason.WAITING_FOR_VACUUM, "m", 7.0), 3) == 7.0


@pytest.mark.parametrize(("count", "seconds"), [(1, 60), (10, 60), (11, 600), (500, 600)])
def test_a_stalled_resource_is_looked_at_each_minute_then_every_ten(
    count: int, seconds: int
) -> None:
    assert delay(Stalled(Reason.MIGRATION_FAILED, "m"), count) == seconds


@pytest.mark.parametrize("reason", sorted(PATIENT_REASONS))
def test_a_race_is_looked_at_every_ten_seconds(reason: Reason) -> None:
    assert [delay(Retry(reason, "m"), n) for n in (1, 2, 30)] == [10.0, 10.0, 10.0]


@given(st.integers(1, 10_000))
def test_connection_trouble_backs_off_from_five_seconds_to_five_minutes(count: int) -> None:
    wait = delay(Retry(Reason.CONNECTION_FAILED, "m"), count)
    assert wait is not None
    longest = min(5.0 * 2 ** min(count - 1, 10), 300.0)
    assert 0.8 * longest <= wait <= longest
