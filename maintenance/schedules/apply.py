"""Writing a plan: in bulk, in one transaction, with one change mark."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.utils.timezone import is_naive
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from ..models import ManagedSchedule
from . import moments
from .entries import COLUMNS, EXTRAS, Entry
from .insert import Values, insert
from .plan import Plan
from .stored import MADE, Record, Stored
from .timing_rows import timings_of
from .timings import MODELS, Timing

_KEYS = tuple(f"{kind}_id" for kind in MODELS)
_MANAGED = ("name", "fingerprint", "applied_at", "applied", *EXTRAS)


def apply(plan: Plan, *, stored: Stored, using: str, now: datetime) -> None:
    """Write ``plan``, which was made from ``stored``, and what is now ours. Nothing is written when anything fails.

    last_run_at, total_run_count and date_changed of existing rows are kept, so that long intervals keep their baseline.
    """
    if not plan.writes:
        return
    with transaction.atomic(using=using):
        made = {record.made for record in stored.owned.values() if record.made}
        wanted = [*plan.create, *(update.entry for update in plan.update)]
        keys = _schedule_keys(wanted, stored, using, now)
        made |= {_text(timing, keys) for timing in keys if timing not in stored.timings}
        _create(plan, keys, using, now)
        _update(plan, keys, using, now)
        _disable(plan, using)
        _delete(PeriodicTask.objects.using(using), [row.pk for row in plan.delete], using)
        _record(plan, stored, keys, made, using, now)
        _sweep(plan, stored, made, using)
        if plan.pending or plan.own:  # options that only we keep are beat's business too
            mark_changed(using=using, now=now)


def mark_changed(*, using: str, now: datetime) -> None:
    """Tell beat to read the tables again, as PeriodicTasks.update_changed does, in the database that was written."""
    PeriodicTasks.objects.using(using).update_or_create(ident=1, defaults={"last_update": now})


def _schedule_keys(entries: Iterable[Entry], stored: Stored, using: str, now: datetime) -> Mapping[Timing, int]:
    missing: dict[str, list[Timing]] = {}
    for timing in dict.fromkeys(entry.timing for entry in entries):
        if timing not in stored.timings and timing.kind in MODELS:
            missing.setdefault(timing.kind, []).append(timing)
    for kind, found in missing.items():
        model = MODELS[kind]
        model.objects.using(using).bulk_create([model(**_writable(timing.columns, now)) for timing in found])
    # MySQL tells no keys of a bulk insert: read them.
    return {**timings_of(set(missing), using=using), **stored.timings} if missing else stored.timings


def _create(plan: Plan, keys: Mapping[Timing, int], using: str, now: datetime) -> None:
    rows = [(entry.name, *_columns(entry, keys, now).values()) for entry in plan.create]
    insert(PeriodicTask, ("name", *COLUMNS, *_KEYS), rows, using=using)


def _update(plan: Plan, keys: Mapping[Timing, int], using: str, now: datetime) -> None:
    changed = {name for update in plan.update for name in update.changes} - set(EXTRAS)
    if not changed:
        return
    touched = [update for update in plan.update if not set(update.changes) <= set(EXTRAS)]
    rows = [PeriodicTask(pk=update.pk, **_columns(update.entry, keys, now)) for update in touched]
    keys_too = _KEYS if "schedule" in changed else ()
    PeriodicTask.objects.using(using).bulk_update(rows, [*sorted(changed - {"schedule"}), *keys_too])


def _disable(plan: Plan, using: str) -> None:
    rows = PeriodicTask.objects.using(using)
    for some in batches([row.pk for row in plan.disable], using):
        rows.filter(pk__in=some).update(enabled=False)


def _record(plan: Plan, stored: Stored, keys: Mapping[Timing, int], made: set[str], using: str, now: datetime) -> None:
    moved = {entry.name: entry.timing for entry in plan.create}
    moved |= {update.entry.name: update.entry.timing for update in plan.update if "schedule" in update.changes}
    rows = []
    for name, record in plan.own.items():
        before = stored.owned.get(name)
        key = _text(moved[name], keys) if name in moved else before.made if before else ""
        rows.append(_managed(name, record, key if key in made else "", now))
    managed = ManagedSchedule.objects.using(using)
    insert(ManagedSchedule, _MANAGED, [row for row in rows if row[0] not in stored.owned], using=using)
    known = [ManagedSchedule(**dict(zip(_MANAGED, row, strict=True))) for row in rows if row[0] in stored.owned]
    if known:
        managed.bulk_update(known, _MANAGED[1:])
    _delete(managed, list(plan.forget), using)


def _managed(name: str, record: Record, made: str, now: datetime) -> Values:
    options, *others = (record.applied.get(extra, getattr(Entry, extra)) for extra in EXTRAS)
    return name, record.fingerprint, now, {**record.applied, MADE: made}, json.loads(options), *others


def _sweep(plan: Plan, stored: Stored, made: set[str], using: str) -> None:
    """Delete the rows of intervals and crontabs that we made, that were left behind, and that nobody uses."""
    names = [update.entry.name for update in plan.update if "schedule" in update.changes]
    left = {stored.owned[name].made for name in (*names, *plan.forget) if name in stored.owned}
    for kind, model in MODELS.items():
        keys = sorted(int(key.partition(":")[2]) for key in left & made if key.startswith(f"{kind}:"))
        _delete(model.objects.using(using).filter(periodictask__isnull=True), keys, using)


def _delete(rows: "QuerySet[Any]", keys: list[Any], using: str) -> None:
    """Delete rows in bulk without signals: django-celery-beat's mark a change for every single row."""
    model: type[Model] = rows.model
    for some in batches(keys, using):
        doomed = model._base_manager.using(using).filter(
            pk__in=list(rows.filter(pk__in=some).values_list("pk", flat=True))
        )
        if any(related.related_model is not PeriodicTask for related in model._meta.related_objects):
            doomed.delete()  # another app's table points here: its on_delete decides
        else:
            doomed._raw_delete(using)


def _text(timing: Timing, keys: Mapping[Timing, int]) -> str:
    return f"{timing.kind}:{keys.get(timing, 0)}"


def batches(keys: list[Any], using: str) -> Iterable[list[Any]]:
    """Return ``keys`` in lists of what one statement of the database may hold."""
    size = connections[using].ops.bulk_batch_size(["pk"], keys) if keys else 1
    return (keys[start : start + size] for start in range(0, len(keys), max(size, 1)))


def _columns(entry: Entry, keys: Mapping[Timing, int], now: datetime) -> dict[str, Any]:
    schedule = {key: keys[entry.timing] if key == f"{entry.timing.kind}_id" else None for key in _KEYS}
    return {**_writable(entry.columns, now), **schedule}


def _writable(columns: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Return ``columns`` with naive times where the project has naive ones (USE_TZ = False)."""
    if not is_naive(now):
        return columns
    return {
        name: moments.stored(value, naive=True) if isinstance(value, datetime) else value
        for name, value in columns.items()
    }
