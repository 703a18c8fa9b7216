"""Maintenance windows: when one is open, until when, and when it opens again.

A window opens at each time of its cron schedule, read on the clock of its time zone, and stays open
for its duration, which is elapsed time. Values in, values out: the caller brings the database's
clock. Made by databases/resolve.py, asked by databases/ for the status and by whoever gates a step.

Cron's days are joined as in Vixie's cron: where both day fields are given one of them is enough,
unless one begins with a star (`*/2`): then both must hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from pgstrata.core.errors import InvalidSpec

HORIZON = timedelta(days=8)
"""How far occurrences that run into each other are followed: a week and a day."""
_MERGED_MAX = 12_000
"""And how many of them at most: those of every minute."""
_ALWAYS = ["*"] * 5
_SECOND = timedelta(seconds=1)
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_ANY_WALL = datetime(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Opening:
    """A window as it stands at one moment; all times are UTC."""

    is_open: bool
    closes: datetime | None
    """Where it is open: when it closes; None: not within HORIZON, perhaps never."""
    next_opening: datetime | None
    """The first opening after now, or after `closes`; None: it opens no more, or never closes."""

    @property
    def turn(self) -> datetime | None:
        """When it closes or opens next, and is to be asked again."""
        return self.closes if self.is_open else self.next_opening


@dataclass(frozen=True, slots=True)
class Window:
    """One maintenance window of a database.

    A time that the clock jumps over, in spring, comes when the jump has been made; one that it
    shows twice comes once. Only a schedule of every hour goes on through both.

    Raises InvalidSpec, naming the window, where schedule or zone cannot be.
    """

    name: str
    schedule: str
    """Cron, five fields."""
    duration: timedelta
    time_zone: str = "UTC"
    """An IANA name."""

    def __post_init__(self) -> None:
        fields = self.schedule.split()
        if len(fields) != len(_FIELDS):
            raise InvalidSpec(f"{self._schedule_text}: cron has five fields, not {len(fields)}")
        for place, name in enumerate(_FIELDS):
            alone = ["*"] * len(_FIELDS)
            alone[place] = fields[place]
            try:
                CronSim(" ".join(alone), _ANY_WALL)
            except CronSimError as error:
                raise InvalidSpec(
                    f"{self._schedule_text}: {fields[place]!r} cannot be for the {name}"
                ) from error
        try:
            ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError) as error:  # unknown; no name; a folder
            raise InvalidSpec(
                f"window {self.name} has the time zone {self.time_zone!r}, which does not exist; "
                "it takes IANA names such as Europe/Berlin"
            ) from error

    @property
    def _schedule_text(self) -> str:
        return f"window {self.name} has the schedule {self.schedule!r}"

    def at(self, now: datetime) -> Opening:
        """Return whether it is open at `now`, an aware time."""
        if self.schedule.split() == _ALWAYS and self.duration >= timedelta(minutes=1):
            return Opening(True, None, None)
        moment = now.astimezone(UTC)
        calendar = _Calendar(self.schedule, ZoneInfo(self.time_zone))
        last = calendar.latest(moment)
        if last is None or last + self.duration <= moment:
            return Opening(False, None, calendar.next(moment))
        closes = last + self.duration
        for _ in range(_MERGED_MAX):
            last = calendar.latest(closes)
            if last is None or last + self.duration <= closes:
                return Opening(True, closes, calendar.next(closes))
            closes = last + self.duration
            if closes > moment + HORIZON:
                break
        return Opening(True, None, None)


class _Calendar:
    """The moments of one schedule in one zone, in UTC.

    Cron's times are walked on the wall clock, which knows no zone, and each is then mapped to the
    moment at which the zone shows it: in that order the moments never run backwards.
    """

    def __init__(self, schedule: str, zone: ZoneInfo) -> None:
        self._schedule = schedule
        self._zone = zone
        hours = CronSim(f"* {schedule.split()[1]} * * *", _ANY_WALL).hours
        self._is_hourly = hours >= set(range(24))

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last moment that is not after `moment`."""
        wall = self._wall(moment)
        times = self._walk(wall + self._repeated(wall) + _SECOND, reverse=True)
        latest = next((m for m in map(self._first, times) if m <= moment), None)
        if self._is_hourly:
            again = next(map(self._last, self._walk(wall + _SECOND, reverse=True)), None)
            if again is not None and again <= moment:
                return again if latest is None else max(latest, again)
        return latest

    def next(self, moment: datetime) -> datetime | None:
        """Return the first moment that is after `moment`."""
        wall = self._wall(moment)
        again = None
        for time in self._walk(wall - self._repeated(wall)):
            first = self._first(time)
            if first > moment:
                return first if again is None else min(first, again)
            if self._is_hourly and again is None and self._last(time) > moment:
                again = self._last(time)
        return again

    def _walk(self, wall: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        """Walk cron's times on the wall clock, those after `wall`, or those before it."""
        try:
            return CronSim(self._schedule, wall, reverse=reverse)
        except CronSimError:  # a day that none of its months has
            return iter(())

    def _wall(self, moment: datetime) -> datetime:
        """Return what the clock shows, in whole seconds."""
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0, microsecond=0)

    def _repeated(self, wall: datetime) -> timedelta:
        """Return the length of the time that is shown twice, if `wall` is within it, else zero."""
        early, late = self._offsets(wall)
        return max(early - late, timedelta())

    def _first(self, wall: datetime) -> datetime:
        """Return the moment at which the clock shows `wall`, or has jumped over it."""
        early, late = self._offsets(wall)
        before, after = wall - late, wall - early
        if late <= early:
            return after.replace(tzinfo=UTC)
        while after - before > _SECOND:
            middle = before + _SECOND * ((after - before) // _SECOND // 2)
            if self._offset(middle) == early:
                before = middle
            else:
                after = middle
        return after.replace(tzinfo=UTC)

    def _last(self, wall: datetime) -> datetime:
        """Return the last moment at which the clock shows `wall`, or has jumped over it."""
        early, late = self._offsets(wall)
        return self._first(wall) + max(early - late, timedelta())

    def _offset(self, utc: datetime) -> timedelta:
        return utc.replace(tzinfo=UTC).astimezone(self._zone).utcoffset() or timedelta()

    def _offsets(self, wall: datetime) -> tuple[timedelta, timedelta]:
        """Return the offsets from UTC before and after the change around `wall`; else both same."""
        aware = wall.replace(tzinfo=self._zone)
        early, late = aware.utcoffset(), aware.replace(fold=1).utcoffset()
        return early or timedelta(), late or timedelta()
