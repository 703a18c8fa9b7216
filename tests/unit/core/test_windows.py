"""Windows: cron against the clocks of real zones, in the nights in which those are changed.

The oracle looks at every minute of some days around a change and asks what the wall clock shows;
it knows nothing of offsets, folds and gaps.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstrata.core.errors import InvalidSpec
from pgstrata.core.windows import HORIZON, Opening, Window

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

CHANGES = {
    "spring in Berlin, 2:00 to 3:00": ("Europe/Berlin", "2026-03-29T01:00Z"),
    "autumn in Berlin, 3:00 to 2:00": ("Europe/Berlin", "2026-10-25T01:00Z"),
    "spring in New York, 2:00 to 3:00": ("America/New_York", "2026-03-08T07:00Z"),
    "autumn in New York, 2:00 to 1:00": ("America/New_York", "2026-11-01T06:00Z"),
    "spring on Lord Howe, 2:00 to 2:30": ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    "autumn on Lord Howe, 2:00 to 1:30": ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    "spring in Sao Paulo, 0:00 to 1:00": ("America/Sao_Paulo", "2018-11-04T03:00Z"),
    "autumn in Sao Paulo, 0:00 to 23:00": ("America/Sao_Paulo", "2018-02-18T02:00Z"),
    "no 30th of December in Apia": ("Pacific/Apia", "2011-12-30T10:00Z"),
    "no change": ("Asia/Kolkata", "2026-03-29T01:00Z"),
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@dataclass(frozen=True)
class Clock:
    """What the clock of a zone shows, minute by minute, for five days before and after a change."""

    shown: dict[datetime, datetime]
    """By the minute in UTC."""

    def first_time(self, wall: datetime) -> datetime | None:
        """The first minute at which the clock shows `wall`, or something later."""
        return next((moment for moment, shows in self.shown.items() if shows >= wall), None)


@cache
def clock_at(change: str) -> Clock:
    zone, at = CHANGES[change]
    first = utc(at) - 5 * DAY
    moments = [first + n * MINUTE for n in range(10 * 24 * 60)]
    return Clock({m: m.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for m in moments})


@cache
def daily_moments(change: str, hour: int, minute: int) -> tuple[datetime, ...]:
    clock = clock_at(change)
    days = sorted({wall.replace(hour=0, minute=0) for wall in clock.shown.values()})
    days = [days[0] + n * DAY for n in range((days[-1] - days[0]).days + 1)]  # Apia's too
    walls = [day + timedelta(hours=hour, minutes=minute) for day in days]
    found = {moment for wall in walls if (moment := clock.first_time(wall)) is not None}
    return tuple(sorted(found))[1:]  # the first may have been before the first minute


def opening_by(moments: tuple[datetime, ...], duration: timedelta, now: datetime) -> Opening:
    """What a window that opens at `moments` is at `now`; they go on long before and after it."""
    if not any(m <= now < m + duration for m in moments):
        return Opening(False, None, min(m for m in moments if m > now))
    closes = max(m + duration for m in moments if m <= now)
    while touching := [m for m in moments if closes - duration < m <= closes]:
        closes = max(touching) + duration
    return Opening(True, closes, min(m for m in moments if m > closes))


@given(
    change=st.sampled_from(sorted(CHANGES)),
    hour=st.sampled_from([0, 1, 2, 3, 12, 23]),
    minute=st.sampled_from([0, 1, 15, 30, 59]),
    length=st.one_of(st.integers(1, 180), st.integers(1, 12 * 60)),
    offset=st.one_of(st.integers(-90, 90), st.integers(-36 * 60, 36 * 60)),
)
def test_a_window_of_every_day_is_open_as_the_clock_on_the_wall_says(
    change: str, hour: int, minute: int, length: int, offset: int
) -> None:
    zone, at = CHANGES[change]
    now = utc(at) + offset * MINUTE
    window = Window("w", f"{minute} {hour} * * *", length * MINUTE, zone)
    expected = opening_by(daily_moments(change, hour, minute), length * MINUTE, now)
    assert window.at(now) == expected


@given(
    change=st.sampled_from(sorted(CHANGES)),
    minute=st.integers(0, 59),
    length=st.integers(1, 28),
    offset=st.one_of(st.integers(-90, 90), st.integers(-6 * 60, 6 * 60)),
)
def test_a_window_of_every_hour_goes_on_through_every_change(
    change: str, minute: int, length: int, offset: int
) -> None:
    zone, at = CHANGES[change]
    now = utc(at) + offset * MINUTE
    window = Window("w", f"{minute} * * * *", length * MINUTE, zone)
    assert window.at(now) == opening_by(hourly_moments(change, minute), length * MINUTE, now)


@cache
def hourly_moments(change: str, minute: int) -> tuple[datetime, ...]:
    """Whenever the clock shows the minute, and where it jumped over one."""
    moments, before = [], None
    for moment, wall in clock_at(change).shown.items():
        jump = wall - before if before is not None else MINUTE
        passed = [wall - n * MINUTE for n in range(min(jump // MINUTE, 120))] or [wall]
        if any(time.minute == minute for time in passed):
            moments.append(moment)
        before = wall
    return tuple(moments)


def test_many_short_openings_close_when_the_last_of_them_does() -> None:
    window = Window("w", "* 0-17 * * 1-5", MINUTE)
    opening = window.at(utc("2026-11-27T00:00Z"))
    assert opening.closes == utc("2026-11-27T18:00Z")


@given(
    change=st.sampled_from(sorted(CHANGES)),
    seconds=st.integers(-2 * 86_400, 2 * 86_400),
    microseconds=st.integers(0, 999_999),
    length=st.integers(1, 600),
)
def test_every_minute_is_always(change: str, seconds: int, microseconds: int, length: int) -> None:
    zone, at = CHANGES[change]
    now = utc(at) + timedelta(seconds=seconds, microseconds=microseconds)
    window = Window("w", "* * * * *", length * MINUTE, zone)
    assert window.at(now) == Opening(True, None, None)


@given(
    st.sampled_from(sorted(CHANGES)),
    st.integers(0, 59),
    st.integers(0, 23),
    st.datetimes(datetime(2005, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 7 * 24 * 60),
)
def test_the_moments_that_a_window_names_are_its_turns(
    change: str, minute: int, hour: int, now: datetime, length: int
) -> None:
    window = Window("w", f"{minute} {hour} * * MON,THU", length * MINUTE, CHANGES[change][0])
    opening = window.at(now)
    second = timedelta(seconds=1)
    assert opening.turn == (opening.closes if opening.is_open else opening.next_opening)
    if opening.closes is not None:
        assert now < opening.closes
        assert window.at(opening.closes - second).is_open
        assert not window.at(opening.closes).is_open
    if opening.next_opening is not None:
        assert now < opening.next_opening
        assert window.at(opening.next_opening).is_open
        assert not window.at(opening.next_opening - second).is_open


NIGHT = Window("nightly", "30 2 * * *", HOUR, "Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-28T01:29:59Z", Opening(False, None, utc("2026-03-28T01:30Z"))),
        ("2026-03-28T01:30Z", Opening(True, utc("2026-03-28T02:30Z"), utc("2026-03-29T01:00Z"))),
        ("2026-03-29T01:00Z", Opening(True, utc("2026-03-29T02:00Z"), utc("2026-03-30T00:30Z"))),
        ("2026-03-29T02:00Z", Opening(False, None, utc("2026-03-30T00:30Z"))),
        ("2026-10-25T00:30Z", Opening(True, utc("2026-10-25T01:30Z"), utc("2026-10-26T01:30Z"))),
        ("2026-10-25T01:10Z", Opening(True, utc("2026-10-25T01:30Z"), utc("2026-10-26T01:30Z"))),
        ("2026-10-25T01:30Z", Opening(False, None, utc("2026-10-26T01:30Z"))),
    ],
)
def test_half_past_two_in_the_nights_of_berlin(now: str, expected: Opening) -> None:
    """2:30 is jumped over on 29 March, so it comes at 3:00; on 25 October it is shown twice."""
    assert NIGHT.at(utc(now)) == expected


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-10-25T00:20Z", "2026-10-25T00:30Z"),
        ("2026-10-25T00:40Z", "2026-10-25T01:30Z"),
        ("2026-10-25T01:20Z", "2026-10-25T01:30Z"),
        ("2026-10-25T01:40Z", "2026-10-25T02:30Z"),
    ],
)
def test_half_past_every_hour_comes_in_both_hours_that_are_called_two(
    now: str, following: str
) -> None:
    window = Window("w", "30 * * * *", MINUTE, "Europe/Berlin")
    assert window.at(utc(now)) == Opening(False, None, utc(following))


def test_now_may_be_told_in_any_zone() -> None:
    now = utc("2026-03-28T01:30Z")
    assert NIGHT.at(now.astimezone(ZoneInfo("Asia/Tokyo"))) == NIGHT.at(now)


def test_a_duration_is_time_that_passes() -> None:
    window = Window("w", "30 1 * * *", 2 * HOUR, "Europe/Berlin")
    closes = window.at(utc("2026-03-29T00:30Z")).closes
    assert closes is not None
    assert closes.astimezone(ZoneInfo("Europe/Berlin")).hour == 4


@pytest.mark.parametrize("schedule", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 FEB *"])
def test_a_schedule_that_never_comes_is_valid_and_never_open(schedule: str) -> None:
    window = Window("w", schedule, HOUR)
    assert window.at(utc("2026-03-01T00:00Z")) == Opening(False, None, None)


def test_a_leap_day_comes_on_a_sunday_once_in_28_years() -> None:
    window = Window("w", "0 0 29 2 */7", HOUR)
    assert window.at(utc("2032-03-01T00:00Z")).next_opening == utc("2060-02-29T00:00Z")


def test_of_two_day_fields_one_is_enough() -> None:
    window = Window("w", "0 0 13 * FRI", HOUR)
    assert window.at(utc("2026-03-10T00:00Z")).next_opening == utc("2026-03-13T00:00Z")
    assert window.at(utc("2026-03-14T00:00Z")).next_opening == utc("2026-03-20T00:00Z")
    assert window.at(utc("2026-04-11T00:00Z")).next_opening == utc("2026-04-13T00:00Z")


def test_a_day_field_that_begins_with_a_star_must_hold_too() -> None:
    window = Window("w", "0 2 */2 * MON", HOUR)
    assert window.at(utc("2026-03-01T12:00Z")).next_opening == utc("2026-03-09T02:00Z")
    assert window.at(utc("2026-03-10T00:00Z")).next_opening == utc("2026-03-23T02:00Z")


def test_openings_that_touch_or_overlap_are_one() -> None:
    workdays = Window("w", "0 22 * * MON-FRI", 24 * HOUR)
    monday, saturday = utc("2026-03-02T22:00Z"), utc("2026-03-07T22:00Z")
    following = monday + 7 * DAY
    assert workdays.at(monday + HOUR) == Opening(True, saturday, following)
    longer = Window("w", "0 22 * * MON-FRI", 30 * HOUR)
    assert longer.at(monday + HOUR) == Opening(True, saturday + 6 * HOUR, following)
    shorter = Window("w", "0 22 * * MON-FRI", 24 * HOUR - MINUTE)
    assert shorter.at(monday + HOUR).closes == monday + 24 * HOUR - MINUTE


def test_a_window_that_closes_beyond_the_horizon_names_no_end() -> None:
    days = HORIZON // DAY
    window = Window("w", "0 0 1-20 * *", DAY)
    first = utc("2026-03-01T00:00Z")
    assert window.at(first) == Opening(True, None, None)
    late = window.at(first + (20 - days) * DAY)
    assert late == Opening(True, first + 20 * DAY, utc("2026-04-01T00:00Z"))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("30-10 2 * * *", "'30-10' cannot be for the minute"),
        ("0 2 * * FRI-MON", "'FRI-MON' cannot be for the day of week"),
        ("0 2 * DEC-JAN *", "'DEC-JAN' cannot be for the month"),
        ("0 25 * * *", "'25' cannot be for the hour"),
        ("0 2 0 * *", "'0' cannot be for the day of month"),
        ("0 2 * *", "cron has five fields, not 4"),
        ("0 0 2 * * *", "cron has five fields, not 6"),
        ("", "cron has five fields, not 0"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_by_its_window_and_text(
    schedule: str, said: str
) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        Window("nightly", schedule, HOUR)
    assert refusal.value.message == f"window nightly has the schedule {schedule!r}: {said}"


@pytest.mark.parametrize("zone", ["Europe/Berln", "Europe", "berlin", "../UTC", "/etc/passwd", ""])
def test_a_zone_that_does_not_exist_is_refused_by_its_window_and_text(zone: str) -> None:
    with pytest.raises(InvalidSpec, match="window nightly has the time zone") as refusal:
        Window("nightly", "0 2 * * *", HOUR, zone)
    assert repr(zone) in refusal.value.message
