"""What the writer reports of the latencies that it has seen."""

from datetime import UTC, datetime

import pytest

from tests.testbed.monitoring.latencies import Recorder, Report, percentile


@pytest.mark.parametrize(
    ("rank", "value"),
    [(50, 5), (95, 10), (99, 10), (90, 9), (1, 1), (100, 10)],
)
def test_a_percentile_is_a_value_that_occurred(rank: float, value: int) -> None:
    assert percentile(range(1, 11), rank) == value


def test_the_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 99) == 0


def test_the_longest_stall_is_named_with_the_time_when_it_was_due() -> None:
    recorder = Recorder(epoch=1_700_000_000)
    recorder.answered("insert", due=1.0, now=1.002)
    recorder.answered("insert", due=2.0, now=3.5)
    recorder.answered("update", due=2.5, now=3.6)

    stall = recorder.report().longest_stall

    assert stall is not None
    assert (stall.statement, stall.ms) == ("insert", 1500)
    assert stall.at == datetime.fromtimestamp(1_700_000_002, UTC)


def test_what_was_waited_for_in_vain_counts_as_waiting() -> None:
    recorder = Recorder(epoch=0)
    recorder.answered("insert", due=0.0, now=0.001)
    recorder.abandoned("unfinished operation", due=1.0, now=9.0)

    report = recorder.report()

    assert (report.count, report.unfinished, report.p99_ms) == (1, 1, 8000)
    assert report.longest_stall is not None
    assert report.longest_stall.ms == 8000


def test_a_report_survives_its_way_as_json() -> None:
    recorder = Recorder(epoch=0)
    recorder.answered("insert", due=1.0, now=1.25)
    recorder.errors["57P01"] += 2
    recorder.rows_inserted = 1
    report = recorder.report()
    assert Report.from_json(report.to_json()) == report


def test_a_report_of_nothing_can_be_made() -> None:
    report = Recorder(epoch=0).report()
    assert (report.count, report.longest_stall, report.statements) == (0, None, {})
