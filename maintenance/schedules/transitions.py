"""What the next changes of a zone's clocks do to a crontab: its runs, beside what the clock on the wall shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from .timings import Crontab, Timing
from .upcoming import runs

_MINUTE = timedelta(minutes=1)
_AROUND = timedelta(hours=6)


@dataclass(frozen=True)
class Transition:
    """A moment at which a zone's clocks are set, by how much, and what it does to a schedule."""

    at: datetime
    shift: timedelta
    effect: str


def transitions(timing: Timing, *, now: datetime, count: int = 2) -> Iterator[Transition]:
    """Yield what happens to a crontab at the next clock changes of its zone within two years."""
    if not isinstance(timing, Crontab):
        return
    for at, shift in _changes(ZoneInfo(timing.zone), now, count):
        yield Transition(at, shift, _effect(timing, at, shift))


def _changes(zone: ZoneInfo, now: datetime, count: int) -> Iterator[tuple[datetime, timedelta]]:
    hours = (now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=n) for n in range(17_600))
    for before, later in pairwise(hours):
        shift = _offset(later, zone) - _offset(before, zone)
        if shift:
            at = next(
                before + _MINUTE * minute
                for minute in range(1, 61)
                if _offset(before + _MINUTE * minute, zone) != _offset(before, zone)
            )
            yield at, shift
            count -= 1
            if not count:
                return


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _effect(timing: Crontab, at: datetime, shift: timedelta) -> str:
    """Compare the runs around a change with the wall clock's matches, each counted once."""
    zone = ZoneInfo(timing.zone)
    start, end = at - _AROUND, at + _AROUND
    real = 0
    for run in runs(timing, start - timedelta(seconds=1)):
        if run >= end:
            break
        real += 1
    wall, last = (each.astimezone(zone).replace(tzinfo=None) for each in (start, end))
    usual = 0
    while wall < last:
        usual += matches(timing, wall)
        wall += _MINUTE
    if real == usual:
        return "as usual"
    if shift > timedelta(0):
        return "not at all" if usual - real == 1 else f"{usual - real} runs fewer"
    return "twice" if real - usual == 1 else f"{real - usual} runs more"


def matches(timing: Crontab, wall: datetime) -> bool:
    """Return whether a crontab names the minute that the clock on the wall shows."""
    minute, hour, day, month, weekday = timing.meaning
    return (
        wall.minute in minute
        and wall.hour in hour
        and wall.day in day
        and wall.month in month
        and wall.isoweekday() % 7 in weekday
    )
