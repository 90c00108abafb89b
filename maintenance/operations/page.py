"""Everything that the page shows, gathered: a constant number of queries, and a deadline for what may be silent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery import Celery
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from .. import lease, results
from ..backups.destination import Destination
from ..results import history, listing
from . import asking, charts, figures, tiles, timeline
from .asking import Answer
from .tiles import Tile

SCHEDULES: Final = 20
ROWS: Final = 10
# Seconds for everything that is asked of brokers and storages, together.
PATIENCE: Final = 0.8
_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)


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


def gather(
    wanted: Wanted, *, app: Celery, broker: str, destinations: Sequence[Destination], now: datetime
) -> dict[str, Any]:
    """Return the page's context. ``now`` is aware; ``broker`` is its masked URL."""
    answers = asking.ask(
        {
            "workers": lambda: figures.workers(app),
            "queues": lambda: figures.queues(app),
            "backups": lambda: figures.backups(destinations),
        },
        seconds=PATIENCE,
    )
    with_results, with_schedules = (apps.is_installed(name) for name in ("django_celery_results", "django_celery_beat"))
    found = _results(now) if with_results else {}
    found |= _schedules(wanted, now, with_results) if with_schedules else {}
    return {
        **found,
        "tiles": tiles.coloured(_tiles(answers, found.get("failed_today"), now), {}),
        "backups": _backups(answers["backups"]),
        "backups_trouble": answers["backups"].trouble,
        "unanswered": any(answer.trouble for answer in answers.values()),
        "broker": broker,
        "now": now,
        "wanted": wanted,
    }


def _tiles(answers: Mapping[str, Answer], failed: int | None, now: datetime) -> list[Tile]:
    shown = [
        tiles.workers(answers["workers"]),
        tiles.queues(answers["queues"]),
        tiles.beat(lease.find("beat"), now),
    ]
    shown += [] if failed is None else [tiles.failures(failed)]
    return [*shown, tiles.backups(answers["backups"], now)]


def _results(now: datetime) -> dict[str, Any]:
    start = history.since(now - _WEEK)
    latest = listing.select(since=start)
    failures = listing.select(since=start, failed=True)
    return {
        "failed_today": history.failed(now - _DAY),
        "hours": charts.columns(history.hours(start), start=start, now=now),
        "durations": charts.rows(history.durations(start)),
        "counted_since": None if start == now - _WEEK else start,
        "failures": listing.read(failures, limit=ROWS),
        "latest": listing.read(latest, limit=ROWS),
    }


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
