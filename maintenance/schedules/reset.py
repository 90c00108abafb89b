"""Forgetting when schedules last ran, so that beat computes their next run afresh (after a change of time zone)."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from ..errors import ConfigurationError
from .apply import mark_changed


class UnknownSchedule(ConfigurationError):
    """No schedule is named {name!r}."""

    hint = "{suggestion}"


@dataclass(frozen=True)
class Resets:
    """The schedules that have a last run to forget, by name, and how many were looked at."""

    names: tuple[str, ...]
    selected: int
    only: tuple[str, ...] = ()


def plan(*, only: Collection[str] = (), using: str) -> Resets:
    """Return what a reset would clear: of every schedule, or of those named. Raises UnknownSchedule."""
    rows = dict(PeriodicTask.objects.using(using).order_by("name").values_list("name", "last_run_at"))
    for name in only:
        if name not in rows:
            near = difflib.get_close_matches(name, rows, n=1)
            raise UnknownSchedule(name=name, suggestion=f"Did you mean {near[0]!r}?" if near else "")
    chosen = [name for name in rows if not only or name in only]
    return Resets(tuple(name for name in chosen if rows[name] is not None), len(chosen), tuple(only))


def apply(resets: Resets, *, using: str, now: datetime) -> int:
    """Clear last_run_at of the planned schedules, tell beat once, and return how many rows changed."""
    if not resets.names:
        return 0
    with transaction.atomic(using=using):
        rows = PeriodicTask.objects.using(using).filter(last_run_at__isnull=False)
        changed = (rows.filter(name__in=resets.only) if resets.only else rows).update(last_run_at=None)
        mark_changed(using=using, now=now)
    return int(changed)
