"""How an estimate is worded."""

import pytest

from pgstrata.engine.estimate import human

MB = 1024 * 1024


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0.0 MB"),
        (1, "1 kB"),
        (20 * 1024, "20 kB"),
        (0.3 * MB, "0.3 MB"),
        (9.9 * MB, "9.9 MB"),
        (107.4 * MB, "107 MB"),
    ],
)
def test_a_figure_is_never_rounded_to_nothing(count: float, text: str) -> None:
    assert human(count) == text
