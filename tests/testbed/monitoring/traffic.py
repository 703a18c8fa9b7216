"""The calls that a population makes: rows of api_metrics in the order in which they arrive.

Called by generator.py. Values only, no I/O. What real traffic has and made-up rows often lack is
here on purpose: office hours, quiet weekends, bursts, a few users who make most of the calls,
rows that arrive long after the call, NULLs, and JSON that is not what its reader expects.
"""

import json
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from math import exp
from random import Random
from typing import NamedTuple

from tests.testbed.monitoring.population import (
    FAITHFUL,
    PROVIDERS,
    Key,
    Provider,
    User,
    activity_weights,
)

EPOCH = datetime(1970, 1, 1)
MILLISECOND = timedelta(milliseconds=1)

DAYS = 90
BURSTS = 40
BURST_FACTORS = (4.0, 12.0)

LATE_SHARE = 0.02
MEAN_LATENESS = timedelta(hours=6)
MAX_LATENESS = timedelta(days=3)

KEYLESS_SHARE = 0.03
"""Calls whose key has been deleted since, or that were made from the dashboard itself."""

UNBILLED_SHARE = 0.12
"""Successful calls whose cost the provider has not said yet."""

UNTIMED_SHARE = 0.005
"""Calls of which no response ever came: no time, no size."""


class Call(NamedTuple):
    """One row of api_metrics; JSON and decimals as text, as COPY takes them."""

    id: str
    provider_id: str
    user_id: str
    api_key_id: str | None
    endpoint: str
    method: str
    status_code: int
    response_time: int | None
    """Milliseconds."""
    request_size: int | None
    """Bytes, as response_size."""
    response_size: int | None
    cost: str | None
    tokens: str | None
    metadata: str | None
    timestamp: datetime


ERRORS = ((429, 40), (400, 15), (401, 8), (404, 7), (500, 15), (502, 5), (503, 7), (504, 3))

METADATA: tuple[tuple[str | None, int], ...] = (
    ('{"region": "eu-west-1", "sdk": "python/1.4.2"}', 40),
    ('{"region": "us-east-1", "sdk": "node/5.0.1"}', 30),
    ('{"region": "ap-south-1", "retries": 2}', 8),
    ("{}", 15),
    (None, 3),
    ('{"tag": "café ☕ 東京", "note": "a \\"quoted\\" \\\\ word\\n"}', 2),
    ('{"nested": {"trace": [1, 2, {"span": null}]}, "": "empty key"}', 1),
    ('["not", "an", "object"]', 1),
)


@dataclass(frozen=True, slots=True)
class _Draw:
    """A weighted choice, prepared once: 200,000 rows ask for several each."""

    cumulative: Sequence[float]

    @classmethod
    def by(cls, weights: Sequence[float]) -> "_Draw":
        return cls(list(accumulate(weights)))

    def index(self, rng: Random) -> int:
        return bisect(self.cumulative, rng.random() * self.cumulative[-1])


_ERRORS = _Draw.by([weight for _, weight in ERRORS])
_METADATA = _Draw.by([weight for _, weight in METADATA])


def make_calls(rng: Random, users: Sequence[User], count: int, until: datetime) -> Iterator[Call]:
    """Yield `count` rows of the DAYS before `until` in the order of their arrival.

    A row's id begins with the time of its arrival, so that ids grow; its timestamp is the time of
    the call, which for a late row is up to MAX_LATENESS earlier.
    """
    callers = _Draw.by(activity_weights(len(users)))
    endpoints = {
        provider.id: _Draw.by([endpoint.weight for endpoint in provider.endpoints])
        for provider in PROVIDERS
    }
    for arrival in make_arrivals(rng, count, until):
        user = users[callers.index(rng)]
        if user.left_at is not None and arrival > user.left_at:
            user = users[int(rng.random() * min(FAITHFUL, len(users)))]
        key = user.keys[int(rng.random() * len(user.keys))]
        endpoint = key.provider.endpoints[endpoints[key.provider.id].index(rng)]
        yield _make_row(rng, arrival, key, endpoint.method, endpoint.path)


def make_arrivals(rng: Random, count: int, until: datetime) -> Iterator[datetime]:
    """Yield `count` times in ascending order: office hours, weekends, slow growth, and bursts."""
    hours = DAYS * 24
    start = until - timedelta(hours=hours)
    weights = [_hour_weight(start + timedelta(hours=hour), hour / hours) for hour in range(hours)]
    for hour in rng.sample(range(hours), BURSTS):
        weights[hour] *= rng.uniform(*BURST_FACTORS)
    calls = [0] * hours
    for hour in rng.choices(range(hours), weights, k=count):
        calls[hour] += 1
    for hour, in_hour in enumerate(calls):
        begin = start + timedelta(hours=hour)
        for offset in sorted(rng.random() for _ in range(in_hour)):
            yield begin + timedelta(hours=offset)


def _hour_weight(at: datetime, progress: float) -> float:
    """Return how busy the hour from `at` is; `progress` goes from 0 to 1 over the whole time."""
    by_hour = 1.0 if 8 <= at.hour < 18 else 0.45 if 6 <= at.hour < 22 else 0.15
    by_day = 1.0 if at.weekday() < 5 else 0.3
    return by_hour * by_day * (1 + 0.4 * progress)


def _make_row(rng: Random, arrival: datetime, key: Key, method: str, path: str) -> Call:
    provider = key.provider
    failed = rng.random() < provider.error_rate
    status = ERRORS[_ERRORS.index(rng)][0] if failed else 201 if method == "PUT" else 200
    answered = rng.random() >= UNTIMED_SHARE
    millis = _log_normal(rng, provider.median_ms, provider.spread)
    tokens = _make_tokens(rng, path) if provider.models and not failed else None
    return Call(
        f"{(arrival - EPOCH) // MILLISECOND:011x}{rng.getrandbits(52):013x}",
        provider.id,
        key.user_id,
        None if rng.random() < KEYLESS_SHARE else key.id,
        path,
        method,
        status,
        millis if answered else None,
        120 + int(rng.random() * 5880),
        _log_normal(rng, 1100, 1.2) if answered else None,
        None if failed else _make_cost(rng, provider, tokens),
        _write_tokens(rng, tokens) if tokens else None,
        METADATA[_METADATA.index(rng)][0],
        arrival - _lateness(rng),
    )


def _log_normal(rng: Random, median: float, spread: float) -> int:
    """Return a whole number of at least 1: half are below `median`, `spread` is sigma."""
    return int(median * exp(spread * rng.gauss())) + 1


def _lateness(rng: Random) -> timedelta:
    """Return how long before its arrival the call was: seconds for most, hours for some."""
    if rng.random() >= LATE_SHARE:
        return timedelta(seconds=rng.random() * 2)
    return min(timedelta(hours=1) + MEAN_LATENESS * rng.expovariate(1.0), MAX_LATENESS)


def _make_tokens(rng: Random, path: str) -> tuple[int, int] | None:
    """Return tokens in and out; None for calls that are not about text."""
    if "completions" in path:
        return _log_normal(rng, 490, 1.0), _log_normal(rng, 200, 0.9)
    return (_log_normal(rng, 245, 1.1), 0) if "embeddings" in path else None


def _make_cost(rng: Random, provider: Provider, tokens: tuple[int, int] | None) -> str | None:
    if provider.price is None or rng.random() < UNBILLED_SHARE:
        return None
    return f"{provider.price * (sum(tokens) / 1000 if tokens else 1):.6f}"


def _write_tokens(rng: Random, tokens: tuple[int, int]) -> str:
    """Return tokens as JSON: mostly as agreed, now and then as providers really send it."""
    read, written = tokens
    dice = rng.random()
    if dice < 0.95:
        return f'{{"input": {read}, "output": {written}, "total": {read + written}}}'
    odd: object = {"input": read, "output": written}  # no total
    if dice >= 0.97:
        odd = {"input": read, "output": written, "total": read + written, "cached": read // 2}
    if dice >= 0.985:
        odd = {"input": read, "output": written, "total": str(read + written)}
    if dice >= 0.99:
        odd = {"input": read, "output": None, "total": None, "einheit": "Wörter"}
    if dice >= 0.995:
        odd = {}
    if dice >= 0.998:
        odd = None  # JSON's null, which is not SQL's NULL
    return json.dumps(odd, ensure_ascii=False)
