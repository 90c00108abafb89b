"""Results, newest first."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery.states import FAILURE
from django.db.models import QuerySet

from . import tables

_COLUMNS = ("task_id", "task_name", "status", "date_done", "date_started", "periodic_task_name", "worker")


@dataclass(frozen=True)
class Listed:
    """A result: how the task ended and when, how many seconds it ran (None: its start was not tracked), its error."""

    id: str
    task: str | None
    status: str
    at: datetime
    seconds: float | None
    schedule: str | None
    worker: str | None
    error: str | None


def select(
    *,
    since: datetime | None = None,
    failed: bool = False,
    tasks: Iterable[str] = (),
    schedule: str | None = None,
    using: str | None = None,
) -> QuerySet[Any]:
    """Return the rows that match, newest first. Raises AppNotInstalled."""
    rows = tables.tables(using).tasks
    chosen = rows.filter(tables.matching(tasks, rows)).order_by("-date_done")
    if since is not None:
        chosen = chosen.filter(date_done__gte=since)
    if failed:
        chosen = chosen.filter(status=FAILURE)
    return chosen if schedule is None else chosen.filter(periodic_task_name=schedule)


def read(rows: QuerySet[Any], *, limit: int) -> list[Listed]:
    """Return the first ``limit`` of ``rows``."""
    return [
        Listed(
            id=row["task_id"],
            task=row["task_name"],
            status=row["status"],
            at=row["date_done"],
            seconds=_seconds(row["date_done"], row["date_started"]),
            schedule=row["periodic_task_name"],
            worker=row["worker"],
            error=error(row["result"]) if row["status"] == FAILURE else None,
        )
        for row in rows.values(*_COLUMNS, "result")[:limit]
    ]


def error(result: str | None) -> str | None:
    """Return the exception that a failure left, on one line: `ValueError: no such order`."""
    try:
        left = json.loads(result or "")
    except ValueError:
        return None
    if not isinstance(left, dict) or "exc_type" not in left:
        return None
    words = left.get("exc_message")
    text = ", ".join(map(str, words)) if isinstance(words, list) else str(words or "")
    return " ".join(f"{left['exc_type']}: {text}".split()).removesuffix(":")


def _seconds(done: datetime, started: datetime | None) -> float | None:
    return None if started is None else round(max(done - started, timedelta(0)).total_seconds(), 3)
