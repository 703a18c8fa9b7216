"""The made-up traffic has the shape of real traffic, and the same seed gives the same."""

import json
from collections import Counter
from datetime import datetime, timedelta
from random import Random
from statistics import median

import pytest

from tests.testbed.monitoring.population import User, activity_weights, make_users
from tests.testbed.monitoring.traffic import DAYS, MAX_LATENESS, Call, make_calls

UNTIL = datetime(2026, 3, 4, 12, 0)
CALLS = 10_000
EPOCH = datetime(1970, 1, 1)


def traffic(seed: int = 1) -> tuple[tuple[User, ...], list[Call]]:
    rng = Random(seed)  # noqa: S311 - test data
    users = make_users(rng, 200, UNTIL)
    return users, list(make_calls(rng, users, CALLS, UNTIL))


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return traffic()[1]


def arrival(call: Call) -> datetime:
    return EPOCH + timedelta(milliseconds=int(call.id[:11], 16))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(calls: list[Call]) -> None:
    assert traffic()[1] == calls
    assert traffic(seed=2)[1] != calls


def test_rows_arrive_in_order_within_the_last_90_days(calls: list[Call]) -> None:
    ids = [call.id for call in calls]
    assert len(set(ids)) == CALLS
    arrivals = [arrival(call) for call in calls]
    assert arrivals == sorted(arrivals)
    assert UNTIL - timedelta(days=DAYS) <= arrivals[0]
    assert arrivals[-1] <= UNTIL


def test_some_rows_arrive_long_after_the_call(calls: list[Call]) -> None:
    lateness = [arrival(call) - call.timestamp for call in calls]
    late = [delay for delay in lateness if delay > timedelta(hours=1)]
    assert 0.01 < len(late) / CALLS < 0.04
    assert max(lateness) <= MAX_LATENESS
    assert sorted(lateness)[CALLS // 2] < timedelta(seconds=2)


def test_working_hours_are_busy_weekends_are_not_and_bursts_stand_out(calls: list[Call]) -> None:
    at_noon = sum(9 <= call.timestamp.hour < 17 for call in calls)
    at_night = sum(call.timestamp.hour < 5 for call in calls)
    assert at_noon / 8 > 3 * at_night / 5
    weekend = sum(call.timestamp.weekday() >= 5 for call in calls)
    assert 0.05 < weekend / CALLS < 0.2
    hours = Counter(arrival(call).replace(minute=0, second=0, microsecond=0) for call in calls)
    assert max(hours.values()) > 8 * median(hours.values())


def test_few_users_make_most_of_the_calls(calls: list[Call]) -> None:
    by_user = [count for _, count in Counter(call.user_id for call in calls).most_common()]
    assert sum(by_user[:20]) > 0.5 * CALLS
    assert len(by_user) > 150


def test_who_has_left_makes_no_more_calls() -> None:
    users, calls = traffic()
    left = {user.id: user.left_at for user in users if user.left_at is not None}
    assert left
    assert all(arrival(call) <= left[call.user_id] for call in calls if call.user_id in left)


def test_activity_falls_with_the_rank() -> None:
    assert activity_weights(4) == [1, 1 / 2, 1 / 3, 1 / 4]


def test_tokens_and_metadata_are_not_always_what_a_reader_expects(calls: list[Call]) -> None:
    tokens = [json.loads(call.tokens) for call in calls if call.tokens is not None]
    objects = [value for value in tokens if isinstance(value, dict)]
    assert None in tokens, "JSON's null"
    assert {} in tokens
    assert any("total" not in value for value in objects)
    assert any(isinstance(value.get("total"), str) for value in objects)
    assert any("cached" in value for value in objects)
    assert sum(isinstance(value.get("total"), int) for value in objects) > 0.9 * len(tokens)
    metadata = [call.metadata for call in calls]
    assert None in metadata
    assert any("東京" in text for text in metadata if text)
    assert any(isinstance(json.loads(text), list) for text in metadata if text)
