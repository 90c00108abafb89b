"""One row of django-celery-beat's tables as an entry: what it sends, and when it is due first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import schedule, solar
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab

from .. import misfire
from ..misfire import Policy
from ..schedules import upcoming
from ..schedules.moments import aware
from . import messages
from .messages import Row

_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_TIMINGS = (
    *("interval_id", "interval__every", "interval__period"),
    *("crontab_id", *(f"crontab__{name}" for name in _FIELDS), "zone"),
    *("solar_id", "solar__event", "solar__latitude", "solar__longitude"),
    *("clocked_id", "clocked__clocked_time"),
)
COLUMNS = (
    *("pk", "name", "last_run_at", "date_changed", "total_run_count", "one_off", "start_time"),
    *messages.COLUMNS,
    *_TIMINGS,
)
"""What is read of a row and its schedule row; ``zone`` is the crontab's zone as text, which any value survives."""

Extra = tuple[Mapping[str, Any], str, bool]
"""What ManagedSchedule keeps: send options, misfire policy, no_overlap."""


@dataclass(eq=False, slots=True)
class Entry:
    """A periodic task that is enabled: what it sends, and when. Times are in UTC; ``pk`` 0 has no row."""

    pk: int
    name: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    schedule: Any
    last_run_at: datetime | None
    baseline: datetime
    policy: Policy = Policy()
    no_overlap: bool = False
    one_off: bool = False
    expires: datetime | None = None
    start_time: datetime | None = None
    next: datetime | None = None
    rebased: bool = False
    ran: bool = False

    def advance(self, moment: datetime, *, recorded: bool = True) -> None:
        """Go on after the due time ``moment``; ``recorded`` when the row's last_run_at says so too."""
        self.baseline = moment
        if recorded:
            self.last_run_at = moment
            self.rebased = False
        self.next = upcoming.next_after(self.schedule, moment)


def build(row: Row, extra: Extra | None, *, report: Callable[[str, Exception], object]) -> Entry:
    """Return a row as an entry. Raises whatever is wrong with it."""
    timing, last = _timing(row), aware(row["last_run_at"])
    entry = Entry(
        pk=row["pk"],
        name=row["name"],
        **messages.of(row, extra[0] if extra else {}),
        schedule=timing,
        last_run_at=last,
        baseline=last or aware(row["date_changed"]) or datetime.now(UTC),
        no_overlap=bool(extra and extra[2]),
        one_off=row["one_off"] or row["clocked_id"] is not None,
        expires=aware(row["expires"]),
        start_time=aware(row["start_time"]),
        ran=row["one_off"] and row["total_run_count"] > 0,
    )
    try:
        entry.policy = misfire.parse(extra[1]) if extra else Policy()
    except ValueError as error:
        report(row["name"], error)
    entry.baseline, entry.next = upcoming.first(
        timing, since=entry.baseline, last_run_at=last, start_time=entry.start_time
    )
    return entry


def _timing(row: Row) -> Any:
    given = [kind for kind in ("interval", "crontab", "solar", "clocked") if row[f"{kind}_id"] is not None]
    if not given:
        raise ValueError("it has no schedule")
    if given[0] == "interval":
        return _interval(row["interval__every"], row["interval__period"])
    if given[0] == "crontab":
        return _crontab(*(row[f"crontab__{name}"] for name in _FIELDS), row["zone"])
    if given[0] == "solar":
        return solar(row["solar__event"], row["solar__latitude"], row["solar__longitude"])
    return clocked(aware(row["clocked__clocked_time"]))


@lru_cache(maxsize=20_000)
def _interval(every: int, period: str) -> Any:
    length = timedelta(**{period: every})
    if length <= timedelta(0):
        raise ValueError(f"its interval of {every} {period} never rests")
    return schedule(length)


@lru_cache(maxsize=20_000)
def _crontab(*texts: str) -> Any:
    *fields, zone = texts
    for text in fields:
        if not str(text).strip():
            raise ValueError("a field of its crontab is empty")
    return TzAwareCrontab(**dict(zip(_FIELDS, fields, strict=True)), tz=ZoneInfo(zone))
