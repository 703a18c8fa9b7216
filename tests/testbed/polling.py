"""Wait for the world to change, with a deadline instead of a sleep of guessed length."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.03
"""Seconds between two looks: short beside anything waited for, long beside the look itself."""


class DeadlineExceeded(AssertionError):
    """What was waited for did not happen in time. An AssertionError: it fails a test, by name."""


def poll(look: Callable[[], T | None], deadline: float, what: str) -> T:
    """Return the first truthy answer of `look`, asked again and again for `deadline` seconds.

    Raises DeadlineExceeded, naming `what` and the last answer; errors of `look` pass through.
    """
    end = time.monotonic() + deadline
    while True:
        if answer := look():
            return answer
        if time.monotonic() > end:
            raise DeadlineExceeded(f"not within {deadline:g} s: {what} (last answer: {answer!r})")
        time.sleep(INTERVAL)


async def poll_async(look: Callable[[], Awaitable[T | None]], deadline: float, what: str) -> T:
    """Like poll, for a `look` that awaits; a look that hangs counts against the deadline."""
    answer: T | None = None
    try:
        async with asyncio.timeout(deadline):
            while not (answer := await look()):  # noqa: ASYNC110 - the world sends no event
                await asyncio.sleep(INTERVAL)
    except TimeoutError as error:
        message = f"not within {deadline:g} s: {what} (last answer: {answer!r})"
        raise DeadlineExceeded(message) from error
    return answer
