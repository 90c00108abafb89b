"""The enabled entries, in the order of their due times: one query finds what differs, and only that is built again."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import CharField
from django.db.models.functions import Cast
from django_celery_beat.models import PeriodicTask
from django_celery_beat.tzcrontab import TzAwareCrontab

from ..models import ManagedSchedule
from ..schedules import cleanup, upcoming
from ..schedules.cleanup import BACKEND_CLEANUP, PURGE
from ..schedules.moments import aware
from .messages import Row
from .rows import COLUMNS, Entry, Extra, build

_UNCOMPARED = {"last_run_at", "date_changed", "total_run_count"}


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
        rows = rows.annotate(zone=Cast("crontab__timezone", CharField())).values_list(*COLUMNS)
        seen, changed = {0}, 0
        for values in rows:
            row: Row = dict(zip(COLUMNS, values, strict=True))
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
        rows = [
            entry for pk, entry in self.by_pk.items() if pk and (entry.name == BACKEND_CLEANUP or entry.task == PURGE)
        ]
        if any(entry.task == PURGE for entry in rows):
            for entry in rows:
                if entry.name == BACKEND_CLEANUP:
                    self.drop(entry)
        if rows or not self.cleanup or _has_cleanup_row(self.using):
            self.by_pk.pop(0, None)
        elif 0 not in self.by_pk:
            daily = TzAwareCrontab(**cleanup.DAILY, tz=self.zone)
            options = {**cleanup.OPTIONS, "headers": {"periodic_task_name": BACKEND_CLEANUP}}
            entry = Entry(0, BACKEND_CLEANUP, BACKEND_CLEANUP, [], {}, options, daily, None, now)
            entry.next = upcoming.next_after(daily, now)
            self.by_pk[0] = entry
            self.push(entry)


def _extras(using: str) -> dict[str, Extra]:
    rows = ManagedSchedule.objects.using(using).values_list("name", "options", "misfire", "no_overlap")
    return {name: (options or {}, misfire, no_overlap) for name, options, misfire, no_overlap in rows}


def _has_cleanup_row(using: str) -> bool:
    return bool(PeriodicTask.objects.using(using).filter(name=BACKEND_CLEANUP).exists())
