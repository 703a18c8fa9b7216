"""How often and how long a try is repeated, with nobody in the way."""

from types import SimpleNamespace
from typing import cast

import pytest

from pgstrata.core.reasons import Reason
from pgstrata.engine import lock_retry
from pgstrata.engine.lock_retry import Cancelled, with_lock_retries
from pgstrata.engine.progress import Progress
from pgstrata.pg.session import Session

SESSION = cast(
    "Session", SimpleNamespace(target=SimpleNamespace(timeouts=SimpleNamespace(lock=0.001)))
)


class Told(Progress):
    """Keeps what users are told, and waits for nothing."""

    def __init__(self) -> None:
        self.said: list[tuple[Reason, str]] = []

    async def repeat(self, reason: Reason, message: str) -> None:
        self.said.append((reason, message))

    async def pause(self, seconds: float) -> None:
        del seconds


async def test_a_statement_that_takes_the_whole_budget_is_tried_again_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the count of three that its step keeps would begin anew at each look."""
    monkeypatch.setattr(lock_retry, "BUDGET_SECONDS", 0.0)
    told, tries = Told(), 0

    async def attempt(lock_ms: int) -> None:
        nonlocal tries
        del lock_ms
        tries += 1
        if tries <= 2:
            raise Cancelled("the statement was cancelled")

    await with_lock_retries(attempt, [], SESSION, told, "work")
    assert told.said == [
        (
            Reason.PROGRESSING_WITH_RETRY,
            f"work: the statement was cancelled (try {n}); it is tried again",
        )
        for n in (1, 2)
    ]
