"""django-celery-beat's rows as due entries: one query finds what differs, and only that is built again."""

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import schedule, solar
from django.db.models import CharField
from django.db.models.functions import Cast
from django.utils.timezone import is_naive, make_aware
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import PeriodicTask
from django_celery_beat.tzcrontab import TzAwareCrontab
from kombu.utils.json import loads

from ..models import ManagedSchedule
from . import due
from .due import Policy

CLEANUP = "celery.backend_cleanup"
PURGE = "maintenance.purge_results"
_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_TIMINGS = (
    *("interval_id", "interval__every", "interval__period"),
    *("crontab_id", *(f"crontab__{name}" for name in _FIELDS), "zone"),
    *("solar_id", "solar__event", "solar__latitude", "solar__longitude"),
    *("clocked_id", "clocked__clocked_time"),
)
_SENT = ("task", "args", "kwargs", "queue", "exchange", "routing_key", "priority", "headers", "expire_seconds")
_COLUMNS = (
    *("pk", "name", "last_run_at", "date_changed", "total_run_count", "one_off", "start_time", "expires"),
    *_SENT,
    *_TIMINGS,
)
_UNCOMPARED = {"last_run_at", "date_changed", "total_run_count"}
Row = Mapping[str, Any]
Extra = tuple[Mapping[str, Any], str, bool]


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
        self.next = due.next_after(self.schedule, moment)


@dataclass
class Entries:
    """The enabled entries by key, and a heap of their next due times."""

    using: str
    report: Callable[[str, Exception], object]
    zone: Any = UTC
    cleanup: bool = False
    by_pk: dict[int, Entry] = field(default_factory=dict)
    _marks: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _heap: list[tuple[datetime, int, Entry]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def refresh(self, *, now: datetime) -> int:
        """Take over what changed in the tables since the last time, and return how many entries that were."""
        extras = _extras(self.using)
        rows = PeriodicTask.objects.using(self.using).filter(enabled=True).order_by("pk")
        rows = rows.annotate(zone=Cast("crontab__timezone", CharField())).values_list(*_COLUMNS)
        seen, changed = {0}, 0
        for values in rows:
            row: Row = dict(zip(_COLUMNS, values, strict=True))
            pk, extra = row["pk"], extras.get(row["name"])
            mark = (*(value for name, value in row.items() if name not in _UNCOMPARED), repr(extra))
            seen.add(pk)
            known = self.by_pk.get(pk)
            if self._marks.get(pk) == mark and (known is None or known.last_run_at == aware(row["last_run_at"])):
                continue
            changed += 1
            self._marks[pk] = mark
            self._replace(row, extra, known)
        for pk in [pk for pk in self._marks if pk not in seen]:
            changed += 1
            del self._marks[pk]
            self.by_pk.pop(pk, None)
        self._builtin_cleanup(now)
        return changed

    def forget(self) -> None:
        """Forget what was read, so that the next refresh builds everything anew."""
        self.by_pk.clear()
        self._marks.clear()
        self._heap.clear()

    def drop(self, entry: Entry) -> None:
        """Take an entry out until its row is read again: it ran once, expired, or is not as it was read."""
        if self.by_pk.get(entry.pk) is entry:
            del self.by_pk[entry.pk]
            self._marks.pop(entry.pk, None)

    def push(self, entry: Entry) -> None:
        """Put an entry (back) into the order of due times; one that is never due again is left out."""
        if entry.next is not None and self.by_pk.get(entry.pk) is entry:
            heapq.heappush(self._heap, (entry.next, next(self._order), entry))

    def pop_due(self, *, now: datetime, most: int) -> list[Entry]:
        """Take out at most ``most`` entries that are due, the earliest first. Each must be pushed again."""
        found: list[Entry] = []
        while len(found) < most and (entry := self._top()) is not None and entry.next and entry.next <= now:
            heapq.heappop(self._heap)
            found.append(entry)
        return found

    def next_due(self) -> datetime | None:
        """Return when the next entry is due."""
        entry = self._top()
        return entry.next if entry else None

    def _top(self) -> Entry | None:
        while self._heap:
            at, _, entry = self._heap[0]
            if self.by_pk.get(entry.pk) is entry and entry.next == at:
                return entry
            heapq.heappop(self._heap)
        return None

    def _replace(self, row: Row, extra: Extra | None, known: Entry | None) -> None:
        self.by_pk.pop(row["pk"], None)
        try:
            entry = build(row, extra, report=self.report)
        except Exception as error:  # noqa: BLE001 - a row that cannot be built must not stop the others
            self.report(row["name"], error)
            return
        # Edited: what the new schedule would have missed since the last run is one run, not many.
        entry.rebased = known is not None and known.schedule is not entry.schedule
        self.by_pk[entry.pk] = entry
        self.push(entry)

    def _builtin_cleanup(self, now: datetime) -> None:
        """Have Celery's own daily cleanup of results, unless the tables have it, or purge_results that replaces it."""
        rows = [entry for pk, entry in self.by_pk.items() if pk and (entry.name == CLEANUP or entry.task == PURGE)]
        if any(entry.task == PURGE for entry in rows):
            for entry in rows:
                if entry.name == CLEANUP:
                    self.drop(entry)
        if rows or not self.cleanup or _has_cleanup_row(self.using):
            self.by_pk.pop(0, None)
        elif 0 not in self.by_pk:
            daily = TzAwareCrontab(minute="0", hour="4", tz=self.zone)
            options = {"expires": 12 * 3600, "headers": {"periodic_task_name": CLEANUP}}
            entry = Entry(0, CLEANUP, CLEANUP, [], {}, options, daily, None, now)
            entry.next = due.next_after(daily, now)
            self.by_pk[0] = entry
            self.push(entry)


def build(row: Row, extra: Extra | None, *, report: Callable[[str, Exception], object]) -> Entry:
    """Return a row as an entry. Raises whatever is wrong with it."""
    options = {name: row[name] for name in ("queue", "exchange", "routing_key") if row[name]}
    if row["priority"] is not None:
        options["priority"] = row["priority"]
    expires, kept = aware(row["expires"]), extra[0] if extra else {}
    if expires or row["expire_seconds"]:
        options["expires"] = expires or row["expire_seconds"]
    headers = {**_json(row, "headers", dict), **kept.get("headers", {}), "periodic_task_name": row["name"]}
    timing, last = _timing(row), aware(row["last_run_at"])
    entry = Entry(
        pk=row["pk"],
        name=row["name"],
        task=row["task"],
        args=_json(row, "args", list),
        kwargs=_json(row, "kwargs", dict),
        options={**options, **kept, "headers": headers},
        schedule=timing,
        last_run_at=last,
        baseline=last or aware(row["date_changed"]) or datetime.now(UTC),
        no_overlap=bool(extra and extra[2]),
        one_off=row["one_off"] or row["clocked_id"] is not None,
        expires=expires,
        start_time=aware(row["start_time"]),
        ran=row["one_off"] and row["total_run_count"] > 0,
    )
    try:
        entry.policy = due.policy(extra[1]) if extra else Policy()
    except ValueError as error:
        report(row["name"], error)
    entry.baseline, entry.next = _first(entry)
    return entry


def _first(entry: Entry) -> tuple[datetime, datetime | None]:
    """Return an entry's baseline and first due time, with regard to its start time and to clocked rows of the past."""
    start, after = entry.start_time, entry.baseline
    if hasattr(entry.schedule, "clocked_time"):
        at = max(entry.schedule.clocked_time.astimezone(UTC), start or datetime.min.replace(tzinfo=UTC))
        return at - timedelta(microseconds=1), at
    length = getattr(entry.schedule, "run_every", None)
    if start is None:
        return after, due.next_after(entry.schedule, after)
    if length is None:
        after = max(after, start - timedelta(microseconds=1))
        return after, due.next_after(entry.schedule, after)
    if entry.last_run_at is None:
        # A start time is the grid's origin, and its first due time; one of the past runs at once.
        first = start + length * max(0, (after - start) // length)
        return first - length, first
    first = max(after + length, start)
    return first - length, first


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


def _json(row: Row, name: str, kind: type[Any]) -> Any:
    text = row[name]
    value = loads(text) if text else kind()
    if not isinstance(value, kind):
        raise ValueError(f"its {name} {text!r} are no JSON {'list' if kind is list else 'object'}")
    return value


def _extras(using: str) -> dict[str, Extra]:
    rows = ManagedSchedule.objects.using(using).values_list("name", "options", "misfire", "no_overlap")
    return {name: (options or {}, misfire, no_overlap) for name, options, misfire, no_overlap in rows}


def _has_cleanup_row(using: str) -> bool:
    return bool(PeriodicTask.objects.using(using).filter(name=CLEANUP).exists())


def aware(value: datetime | None) -> datetime | None:
    """Return a time of the tables in UTC: naive ones (USE_TZ = False) are in the project's zone."""
    if value is None:
        return None
    return (make_aware(value) if is_naive(value) else value).astimezone(UTC)
