"""When a schedule runs next: one arithmetic, for beat and for those that tell what beat will do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import schedule, solar
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab

from .timings import CRONTAB_FIELDS, Clocked, Crontab, Interval, Solar, Timing

_MINUTE = timedelta(minutes=1)
# A zone's clocks are set back by three hours at most (Antarctica/Casey).
_REPEATED = timedelta(hours=4)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def asked(timing: Timing) -> Any:
    """Return the object that Celery asks for due times; None for what nobody can read."""
    if isinstance(timing, Interval):
        return schedule(timedelta(microseconds=timing.microseconds))
    if isinstance(timing, Clocked):
        return clocked(timing.at)
    if isinstance(timing, Solar):
        event: Any = timing.event
        return solar(event, float(timing.latitude), float(timing.longitude))
    if isinstance(timing, Crontab):
        fields: Any = dict(zip(CRONTAB_FIELDS, timing.texts, strict=True))
        return TzAwareCrontab(**fields, tz=ZoneInfo(timing.zone))
    return None


def next_after(schedule: Any, moment: datetime) -> datetime | None:
    """Return the first due time (UTC) after ``moment``, which is also taken for the last one; None for never again.

    Raises ValueError for an interval that never rests.
    """
    if hasattr(schedule, "clocked_time"):
        at: datetime = schedule.clocked_time.astimezone(UTC)
        return at if at > moment else None
    if hasattr(schedule, "run_every"):
        return moment + length_of(schedule)
    return _sun(schedule, moment) if hasattr(schedule, "event") else _crontab(schedule, moment)


def first(
    schedule: Any, *, since: datetime, last_run_at: datetime | None, start_time: datetime | None
) -> tuple[datetime, datetime | None]:
    """Return an entry's first due time, which may be over, behind the moment that stands for the one before it.

    ``since`` is ``last_run_at``, or when the entry was made or changed where it never ran. A clocked entry that did
    not run is due, however long ago. An interval's start time is the origin of its grid.
    """
    if hasattr(schedule, "clocked_time"):
        at = max(schedule.clocked_time.astimezone(UTC), start_time or _LONG_AGO)
        return at - timedelta(microseconds=1), at
    if start_time is None:
        return since, next_after(schedule, since)
    if not hasattr(schedule, "run_every"):
        since = max(since, start_time - timedelta(microseconds=1))
        return since, next_after(schedule, since)
    length = length_of(schedule)
    if last_run_at is None:
        # A start time is the grid's origin, and its first due time; one of the past runs at once.
        found = start_time + length * max(0, (since - start_time) // length)
    else:
        found = max(since + length, start_time)
    return found - length, found


def later(schedule: Any, due: datetime, *, now: datetime) -> Iterator[datetime]:
    """Yield the due times after ``now`` that follow the due time ``due``: what was missed between is not caught up."""
    if hasattr(schedule, "run_every"):
        length = length_of(schedule)
        last = due + length * max(0, (now - due) // length)
    else:
        last = max(due, now)
    following = next_after(schedule, last)
    while following is not None:
        yield following
        following = next_after(schedule, following)


def after(timing: Timing, moment: datetime) -> datetime | None:
    """Return the first run of ``timing`` after ``moment``; None when there is none."""
    return next(runs(timing, moment), None)


def runs(timing: Timing, moment: datetime) -> Iterator[datetime]:
    """Yield the runs after ``moment``, in UTC."""
    schedule = asked(timing)
    following = next_after(schedule, moment.astimezone(UTC)) if schedule else None
    while following is not None:
        yield following
        following = next_after(schedule, following)


def _crontab(schedule: Any, moment: datetime) -> datetime:
    start = moment
    while start < moment + _REPEATED:
        last, ends_in, _ = schedule.remaining_delta(start)
        found: datetime = (last + ends_in).astimezone(UTC)
        if found > moment:
            return found
        start += _MINUTE  # the second pass of an hour that comes twice: Celery finds a time that is over
    raise ValueError(f"{schedule!r} has no run after {moment.isoformat()}")


def _sun(schedule: Any, moment: datetime) -> datetime:
    # ephem finds an event again when asked from its own (rounded) time.
    start = moment + _MINUTE
    # The schedule measures from its own "now": with the start as now, what remains leads to the event itself.
    schedule.nowfun = lambda: start
    remaining: timedelta = schedule.remaining_estimate(start)
    return (start + remaining).astimezone(UTC)


def length_of(schedule: Any) -> timedelta:
    """Return an interval's length. Raises ValueError for one that never rests."""
    length: timedelta = schedule.run_every
    if length <= timedelta(0):
        raise ValueError(f"its interval of {length} never rests")
    return length
