"""Everything that the page shows, gathered: a constant number of queries, and a deadline for what may be silent."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from .. import results
from ..backups import shelves
from ..backups.destination import Destination
from ..health.memory import Memory
from ..results import history, listing
from ..results.history import Duration, Hour
from . import asking, charts, tiles, timeline
from .asking import Answer, Question

SCHEDULES: Final = 20
ROWS: Final = 10
# Seconds for everything that is asked of brokers and storages, together.
PATIENCE: Final = 0.8
BACKUPS: Final = "backups"
_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)
_CHARTS_STAY: Final = timedelta(minutes=1)
Counted = tuple[datetime, list[Hour], list[Duration]]
# A page that refreshes itself every few seconds does not count a week's results each time.
_week: Memory[Counted] = Memory(_CHARTS_STAY.total_seconds())


@dataclass(frozen=True)
class Wanted:
    """Which part of the schedules is looked at."""

    page: str = "1"
    search: str = ""
    only: str = ""


@dataclass(frozen=True)
class Backup:
    """A backup in the table."""

    id: str
    alias: str
    kind: str
    made: datetime
    size_bytes: int
    where: str
    verified: Any


def gather(wanted: Wanted, *, checks: Question, destinations: Sequence[Destination], now: datetime) -> dict[str, Any]:
    """Return the page's context. ``now`` is aware; ``checks`` returns what the health checks say."""
    until = time.monotonic() + PATIENCE
    asked = asking.begin({"checks": checks, BACKUPS: lambda: shelves.look(destinations)})
    with_results, with_schedules = (apps.is_installed(name) for name in ("django_celery_results", "django_celery_beat"))
    found = _results(now) if with_results else {}
    found |= _schedules(wanted, now, with_results) if with_schedules else {}
    health, held = asked["checks"].answer(until), asked[BACKUPS].answer(until)
    shown = tiles.of(health.value or (), failed_today=found.get("failed_today"))
    return {
        **found,
        "tiles": [tiles.silent(health.trouble), *shown] if health.trouble else shown,
        "backups": _backups(held),
        "backups_trouble": held.trouble,
        "unanswered": bool(health.trouble or held.trouble),
        "now": now,
        "wanted": wanted,
    }


def forget() -> None:
    """Look at everything anew next time."""
    asking.forget()
    _week.forget()


def _results(now: datetime) -> dict[str, Any]:
    begun = now - _WEEK
    start, hours, durations = _week.recall("", lambda: _counted(begun))
    latest = listing.select(since=begun)
    failures = listing.select(since=begun, failed=True)
    return {
        "failed_today": history.failed(now - _DAY, most=tiles.MOST_FAILURES),
        "hours": charts.columns(hours, start=start, now=now),
        "durations": charts.rows(durations),
        "counted_since": start if start - begun > _CHARTS_STAY else None,
        "failures": listing.read(failures, limit=ROWS),
        "latest": listing.read(latest, limit=ROWS),
    }


def _counted(begun: datetime) -> Counted:
    start = history.since(begun)
    return start, history.hours(start), history.durations(start)


def _schedules(wanted: Wanted, now: datetime, with_results: bool) -> dict[str, Any]:
    from ..schedules import listing as schedules
    from ..schedules import paging

    page = paging.page(
        using=DEFAULT_DB_ALIAS, number=wanted.page, size=SCHEDULES, search=wanted.search, only=wanted.only
    )
    finished = results.last_of_schedules(page.names) if with_results else {}
    count = timeline.MOST_TICKS + 1
    found = schedules.schedules(now=now, using=DEFAULT_DB_ALIAS, names=page.names, count=count, finished=finished)
    runs = history.runs(page.names, start=now - timeline.SPAN) if with_results else []
    upcoming = {each.entry.name: each.next_runs for each in found}
    return {
        "page": page,
        "schedules": found,
        "timeline": timeline.draw(page.names, now=now, runs=runs, upcoming=upcoming) if found else None,
    }


def _backups(answer: Answer) -> list[Backup]:
    """Return the newest backups, each once, with the places that hold it."""
    found: dict[str, list[Any]] = {}
    for shelf in answer.value or ():
        for entry in shelf.catalog.entries:
            found.setdefault(entry.manifest.id, []).append((shelf.destination.alias, entry))
    newest = sorted(found.values(), key=lambda places: (places[0][1].manifest.started, places[0][1].manifest.id))
    return [_backup(places) for places in reversed(newest[-ROWS:])]


def _backup(places: list[Any]) -> Backup:
    manifest = places[0][1].manifest
    return Backup(
        id=manifest.id,
        alias=manifest.alias,
        kind=manifest.kind,
        made=manifest.started.astimezone(UTC),
        size_bytes=manifest.stored_bytes,
        where=", ".join(alias for alias, _ in places),
        verified=next((entry.verified for _, entry in places if entry.verified), None),
    )
