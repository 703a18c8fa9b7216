"""What is refused is asked for again: soon at first, then at a steady pace, however long."""

from pgstrata.app.refusals import ASK_EVERY, pause_after


def test_pauses_grow_to_a_steady_pace() -> None:
    for times, seconds in ((1, 1), (2, 2), (3, 4), (4, 8), (5, ASK_EVERY), (100_000, ASK_EVERY)):
        assert 0.9 * seconds <= pause_after(times) <= 1.1 * seconds
