"""When a schedule runs next: asked of the same schedule objects that beat asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import solar
from django_celery_beat.tzcrontab import TzAwareCrontab

from .timings import CRONTAB_FIELDS, Clocked, Crontab, Interval, Solar, Timing

_MINUTE = timedelta(minutes=1)
_AROUND = timedelta(hours=6)


@dataclass(frozen=True)
class Transition:
    """A moment at which a zone's clocks are set, by how much, and what it does to a schedule."""

    at: datetime
    shift: timedelta
    effect: str


def after(timing: Timing, moment: datetime) -> datetime | None:
    """Return the first run after ``moment``, which is also taken for the last run; None when there is none."""
    if isinstance(timing, Interval):
        return moment + timedelta(microseconds=timing.microseconds)
    if isinstance(timing, Clocked):
        return timing.at if timing.at > moment else None
    if isinstance(timing, Solar):
        event: Any = timing.event
        sun = solar(event, float(timing.latitude), float(timing.longitude), nowfun=lambda: moment)
        return moment + sun.remaining_estimate(moment)
    return _after_crontab(timing, moment) if isinstance(timing, Crontab) else None


def runs(timing: Timing, moment: datetime) -> Iterator[datetime]:
    """Yield the runs after ``moment``, in UTC."""
    following = after(timing, moment.astimezone(UTC))
    while following is not None:
        yield following
        following = after(timing, following)


def transitions(timing: Timing, *, now: datetime, count: int = 2) -> Iterator[Transition]:
    """Yield what happens to a crontab at the next clock changes of its zone within two years."""
    if not isinstance(timing, Crontab):
        return
    for at, shift in _changes(ZoneInfo(timing.zone), now, count):
        yield Transition(at, shift, _effect(timing, at, shift))


def _after_crontab(timing: Crontab, moment: datetime) -> datetime | None:
    zone = ZoneInfo(timing.zone)
    asked: Any = TzAwareCrontab(**dict(zip(CRONTAB_FIELDS, timing.texts, strict=True)), tz=zone)
    start = moment
    for _ in range(200):
        local = start.astimezone(zone)
        asked.nowfun = lambda local=local: local
        found: datetime = start.astimezone(UTC) + asked.remaining_estimate(local)
        if found > moment:
            return found
        start += _MINUTE  # the second pass of an hour that comes twice: Celery finds a time that is over
    return None


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
