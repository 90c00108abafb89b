"""What purge_results is told of what goes and how fast: its flags, and what they mean beside the settings."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import CommandParser

from maintenance import results, units
from maintenance.batches import Pace
from maintenance.conf import Results
from maintenance.management.base import value
from maintenance.results import Rules


def add_purge_flags(parser: CommandParser) -> None:
    """Add them."""
    add, time = parser.add_argument, value(units.duration)
    add("--older-than", type=time, metavar="TIME", help="as 7d (default: what settings keep)")
    add("--failed-older-than", type=time, metavar="TIME", help="failures only (default: as the others)")
    add("--status", nargs="+", type=str.upper, default=(), metavar="S", help="only results of these statuses")
    add("--task", nargs="+", default=(), metavar="GLOB", help="only results of these tasks, as 'app.tasks.*'")
    add("--keep-last", type=value(units.whole), metavar="N", help="keep the newest N of each task, however old")
    add("--stuck", type=time, metavar="TIME", help="also what has been STARTED, PENDING or RETRY for so long")
    add("--archive", type=Path, metavar="DIR", help="write the rows to a new .jsonl.zst there before they go")
    add(
        "--batch-size",
        type=value(units.whole),
        metavar="ROWS",
        help="rows a batch at most (default: what takes 100 ms)",
    )
    add("--sleep", type=time, metavar="TIME", help="rest between batches (default: 0.05, on PostgreSQL 0)")
    add("--max-seconds", type=time, metavar="TIME", help="stop after this time, status 75 (default: 240)")


def rules_of(options: Mapping[str, Any], *, given: Results, now: datetime) -> Rules:
    """Return what goes: flag, then MAINTENANCE["RESULTS"], then Celery's setting. Raises ConfigurationError."""
    return results.plan(
        now=now,
        given=given,
        expires=getattr(settings, "CELERY_RESULT_EXPIRES", results.expires_of(current_app)),
        **{name: options[name] for name in ("older_than", "failed_older_than", "stuck", "keep_last")},
        statuses=tuple(options["status"]),
        tasks=tuple(options["task"]),
    )


def pace_of(options: Mapping[str, Any], *, given: Results) -> Pace:
    """Return how fast."""
    rest = results.default_rest(options["database"]) if options["sleep"] is None else options["sleep"].total_seconds()
    seconds = given.max_seconds if options["max_seconds"] is None else options["max_seconds"]
    return Pace(size=options["batch_size"] or given.batch_size, rest=rest, seconds=seconds.total_seconds())
