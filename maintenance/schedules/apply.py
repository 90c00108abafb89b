"""Writing a plan: in bulk, in one transaction, with one change mark."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.timezone import is_naive, make_naive
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from ..models import ManagedSchedule
from .entries import Entry
from .plan import Plan
from .stored import Stored, timings_of
from .timings import MODELS, Timing


def apply(plan: Plan, *, stored: Stored, using: str, now: datetime) -> None:
    """Write ``plan``, which was made from ``stored``, and what is now ours. Nothing is written when anything fails.

    last_run_at, total_run_count and date_changed of existing rows are kept, so that long intervals keep their baseline.
    """
    if not (plan.touches_schedules or plan.own or plan.forget):
        return
    with transaction.atomic(using=using):
        wanted = [*plan.create, *(update.entry for update in plan.update)]
        keys = _schedule_keys(wanted, stored, using, now)
        _create(plan, keys, using, now)
        _update(plan, keys, using, now)
        if plan.disable:
            rows = [PeriodicTask(pk=row.pk, enabled=False) for row in plan.disable]
            PeriodicTask.objects.using(using).bulk_update(rows, ["enabled"])
        _record(plan, stored, using, now)
        if plan.touches_schedules:
            mark_changed(using=using, now=now)


def mark_changed(*, using: str, now: datetime) -> None:
    """Tell beat to read the tables again, as PeriodicTasks.update_changed does, in the database that was written."""
    PeriodicTasks.objects.using(using).update_or_create(ident=1, defaults={"last_update": now})


def _schedule_keys(entries: Iterable[Entry], stored: Stored, using: str, now: datetime) -> Mapping[Timing, int]:
    missing: dict[str, list[Timing]] = {}
    for timing in dict.fromkeys(entry.timing for entry in entries):
        if timing not in stored.timings:
            missing.setdefault(timing.kind, []).append(timing)
    for kind, found in missing.items():
        model = MODELS[kind]
        model.objects.using(using).bulk_create([model(**_writable(timing.columns, now)) for timing in found])
    # MySQL tells no keys of a bulk insert: read them.
    return {**stored.timings, **timings_of(set(missing), using=using)} if missing else stored.timings


def _create(plan: Plan, keys: Mapping[Timing, int], using: str, now: datetime) -> None:
    rows = [PeriodicTask(name=entry.name, **_columns(entry, keys, now)) for entry in plan.create]
    PeriodicTask.objects.using(using).bulk_create(rows)


def _update(plan: Plan, keys: Mapping[Timing, int], using: str, now: datetime) -> None:
    if not plan.update:
        return
    rows = [PeriodicTask(pk=update.pk, **_columns(update.entry, keys, now)) for update in plan.update]
    changed = {name for update in plan.update for name in update.changes}
    keys_too = [f"{kind}_id" for kind in MODELS] if "schedule" in changed else []
    fields = [name for name in plan.update[0].entry.columns if name in changed] + keys_too
    if fields:
        PeriodicTask.objects.using(using).bulk_update(rows, fields)
    revived = [PeriodicTask(pk=update.pk, enabled=True) for update in plan.update if update.enables]
    if revived:
        PeriodicTask.objects.using(using).bulk_update(revived, ["enabled"])


def _record(plan: Plan, stored: Stored, using: str, now: datetime) -> None:
    rows = [ManagedSchedule(name=name, fingerprint=mark, applied_at=now) for name, mark in plan.own.items()]
    managed = ManagedSchedule.objects.using(using)
    managed.bulk_create([row for row in rows if row.name not in stored.owned])
    known = [row for row in rows if row.name in stored.owned]
    if known:
        managed.bulk_update(known, ["fingerprint", "applied_at"])
    if plan.forget:
        managed.filter(name__in=plan.forget).delete()


def _columns(entry: Entry, keys: Mapping[Timing, int], now: datetime) -> dict[str, Any]:
    schedule = {f"{kind}_id": keys[entry.timing] if kind == entry.timing.kind else None for kind in MODELS}
    return {**_writable(entry.columns, now), **schedule}


def _writable(columns: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return ``columns`` with naive times where the project has naive ones (USE_TZ = False)."""
    naive = is_naive(now)
    return {
        name: make_naive(value) if naive and isinstance(value, datetime) else value for name, value in columns.items()
    }
