"""What beat will do and has done: each schedule with its next runs, its last one, and whether it is late."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any, Literal, Protocol

from django_celery_beat.models import PeriodicTask

from .. import misfire
from . import stored, upcoming
from .entries import Entry
from .moments import aware
from .stored import Record
from .timings import Timing
from .transitions import Transition, transitions

DEFAULT_GRACE = timedelta(minutes=5)
Source = Literal["code", "admin"]


class Finished(Protocol):
    """How a schedule's last run ended."""

    @property
    def status(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def took(self) -> timedelta | None: ...


@dataclass(frozen=True)
class Listed:
    """A schedule as list_schedules shows it. ``next_runs`` are in UTC; the first may be over: it is due."""

    entry: Entry
    source: Source
    next_runs: tuple[datetime, ...]
    last_sent: datetime | None
    sent: int
    finished: Finished | None
    late: bool
    transitions: tuple[Transition, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether its last run ended badly."""
        return self.finished is not None and self.finished.status in ("FAILURE", "REVOKED")


def schedules(
    *,
    now: datetime,
    using: str,
    count: int = 1,
    finished: Mapping[str, Finished] | None = None,
    changes: bool = False,
    names: Collection[str] | None = None,
) -> list[Listed]:
    """Return every schedule by name, with ``count`` next runs, and with ``changes`` what the next clock changes do.

    ``finished`` tells by name how the last run ended: the results are another's business. ``names``: only of these.
    """
    now = aware(now)
    tables = stored.read(using=using, names=names)
    columns = ("name", "last_run_at", "date_changed", "total_run_count")
    rows = PeriodicTask.objects.using(using).values_list(*columns)
    history = {row[0]: row[1:] for row in (rows if names is None else rows.filter(name__in=names))}
    listed = []
    asked = cache(upcoming.asked)  # ten thousand schedules have few different timings
    for name in sorted(tables.rows):
        entry, (last, changed, sent) = tables.rows[name].entry, history.get(name, (None, None, 0))
        last = aware(last) if last else None
        since = last or aware(changed or now)
        runs = () if entry.one_off and sent else tuple(islice(_runs(entry, asked, since, last, now), count))
        due = runs[0] if runs else None
        listed.append(
            Listed(
                entry=entry,
                source=_source(tables.owned.get(name), entry),
                next_runs=runs,
                last_sent=last,
                sent=sent,
                finished=(finished or {}).get(name),
                late=due is not None and due + _grace(entry) < now,
                transitions=tuple(transitions(entry.timing, now=now)) if changes else (),
            )
        )
    return listed


def narrowed(found: list[Listed], *, late: bool, failed: bool, source: str | None) -> list[Listed]:
    """Return those that are late, whose last run failed, and of one source, where that is asked for."""
    return [
        each
        for each in found
        if (each.late or not late) and (each.failed or not failed) and (not source or each.source == source)
    ]


def _source(record: Record | None, entry: Entry) -> Source:
    return "code" if record and not (record.retired and entry.enabled) else "admin"


def _runs(
    entry: Entry, asked: Callable[[Timing], Any], since: datetime, last: datetime | None, now: datetime
) -> Iterator[datetime]:
    """Yield the next runs: the one that follows the last, though it may be over, then those after now."""
    schedule = asked(entry.timing) if entry.enabled else None
    if schedule is None:
        return
    _, first = upcoming.first(schedule, since=since, last_run_at=last, start_time=entry.start_time)
    if first is None or (entry.expires and first >= entry.expires):
        return
    yield first
    if entry.one_off:
        return
    for run in upcoming.later(schedule, first, now=now):
        if entry.expires and run >= entry.expires:
            return
        yield run


def _grace(entry: Entry) -> timedelta:
    try:
        return misfire.parse(entry.misfire).window or DEFAULT_GRACE
    except ValueError:
        return DEFAULT_GRACE  # beat reports it, and takes it for "once"
