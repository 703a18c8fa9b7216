"""How large batches get, alone and beside others who write to the table."""

import pytest

from pgstrata.migrations.backfill.pace import BESIDE_SECONDS, PAUSE_RATIO, TARGET_SECONDS, Pace


def run(pace: Pace, seconds_per_unit: float, batches: int = 20) -> float:
    """Run batches of a table with this cost; return what the last one took."""
    seconds = 0.0
    for _ in range(batches):
        seconds = pace.size * seconds_per_unit
        pace.took(seconds, pace.size)
    return seconds


def test_batches_come_to_take_the_time_that_they_shall() -> None:
    pace = Pace(size=1_000, largest=100_000)
    assert run(pace, 5e-6) == pytest.approx(TARGET_SECONDS, rel=0.1)
    assert pace.pause_after(TARGET_SECONDS) == 0


def test_beside_others_batches_are_short_at_once_and_followed_by_a_pause() -> None:
    pace = Pace(size=1_000, largest=100_000)
    run(pace, 5e-6)
    pace.beside(True)
    assert pace.size * 5e-6 == pytest.approx(BESIDE_SECONDS, rel=0.1)
    assert run(pace, 5e-6) == pytest.approx(BESIDE_SECONDS, rel=0.1)
    assert pace.pause_after(0.01) == pytest.approx(PAUSE_RATIO * 0.01)


def test_batches_grow_again_once_the_others_are_gone() -> None:
    pace = Pace(size=1_000, largest=100_000)
    pace.beside(True)
    run(pace, 5e-6)
    pace.beside(False)
    assert run(pace, 5e-6) == pytest.approx(TARGET_SECONDS, rel=0.1)


def test_a_size_that_was_asked_for_stays() -> None:
    pace = Pace(size=1_000, largest=1_000, is_fixed=True)
    pace.beside(True)
    run(pace, 5e-4)
    assert pace.size == 1_000


def test_a_machine_that_is_slow_with_all_does_not_make_batches_ever_smaller() -> None:
    pace = Pace(size=1_000, largest=100_000, smallest=50)
    pace.beside(True)
    for _ in range(20):
        pace.took(0.02, pace.size)
    assert pace.size == 50
    pace.size = 3  # since a row fails
    pace.took(0.02, pace.size)
    assert pace.size == 3
