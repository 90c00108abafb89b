"""One record per due time: written in the transaction that advances the row, removed once its message is sent."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections
from django_celery_beat.models import PeriodicTask
from kombu.utils.json import dumps, loads

from .. import lease
from ..errors import MaintenanceError
from ..models import Dispatch
from ..schedules import moments, stored
from ..schedules.moments import aware
from . import due
from .rows import Entry


class NotLeading(MaintenanceError):
    """The lease of beat was lost: nothing was recorded."""


@dataclass(frozen=True)
class Choice:
    """Due times of an entry to be sent, oldest first, and how many earlier ones they stand for."""

    entry: Entry
    send: tuple[datetime, ...]
    missed: int = 0


@dataclass(frozen=True)
class Record:
    """A due time that is recorded and to be sent."""

    task_id: str
    name: str
    due: datetime
    message: Mapping[str, Any]


@dataclass(frozen=True)
class Recorded:
    """What was recorded, and the entries whose rows turned out to be changed or gone (nothing is sent for them)."""

    records: tuple[Record, ...]
    stale: tuple[Entry, ...]


def record(
    choices: Sequence[Choice], *, fence: Callable[[], bool], patience: float, naive: bool, using: str
) -> Recorded:
    """Record ``choices`` and advance their rows, all or nothing. Raises NotLeading, DatabaseError.

    ``fence`` renews the lease inside the transaction, which keeps every other beat out until it is committed.
    """
    with lease.patient(patience, using=using):
        if not fence():
            raise NotLeading()
        fresh, stale = _locked(choices, using)
        records = [made for choice in fresh for made in _records(choice)]
        Dispatch.objects.using(using).bulk_create(
            [
                Dispatch(
                    task_id=made.task_id,
                    name=made.name,
                    due=moments.stored(made.due, naive=naive),
                    message=dumps(made.message),
                )
                for made in records
            ],
            ignore_conflicts=True,
        )
        rows = [choice for choice in fresh if choice.entry.pk]
        _advance([choice for choice in rows if not choice.entry.one_off], naive, using)
        ended = [choice.entry.pk for choice in rows if choice.entry.one_off]
        if ended:
            disable(ended, using=using)
    return Recorded(tuple(records), tuple(stale))


def disable(keys: Collection[int], *, using: str) -> None:
    """Disable rows that ran once or expired, as DatabaseScheduler leaves them, and note that it was not a person."""
    rows = PeriodicTask.objects.using(using).filter(pk__in=keys)
    rows.update(enabled=False, last_run_at=None, total_run_count=0)
    stored.mark_done(rows.values("name"), using=using)


def unsent(*, using: str) -> list[Record]:
    """Return what was recorded and not marked as sent, by whichever beat."""
    rows = Dispatch.objects.using(using).order_by("due").values_list("task_id", "name", "due", "message")
    return [Record(key, name, aware(at) or at, loads(message)) for key, name, at, message in rows]


def mark_sent(task_ids: Collection[str], *, patience: float, using: str) -> None:
    """Mark messages as sent. Raises DatabaseError."""
    with lease.patient(patience, using=using):
        Dispatch.objects.using(using).filter(pk__in=task_ids).delete()


def _advance(choices: Sequence[Choice], naive: bool, using: str) -> None:
    """Write what was chosen last, and how often: one prepared statement is far quicker than bulk_update's CASE."""
    connection = connections[using]
    last_run_at = PeriodicTask._meta.get_field("last_run_at")
    table, *columns = map(connection.ops.quote_name, (PeriodicTask._meta.db_table, "last_run_at", "total_run_count"))
    sql = f"UPDATE {table} SET {columns[0]} = %s, {columns[1]} = {columns[1]} + %s WHERE id = %s"  # noqa: S608 - names of our own models, quoted
    values = [
        (
            last_run_at.get_db_prep_save(moments.stored(choice.send[-1], naive=naive), connection),
            len(choice.send),
            choice.entry.pk,
        )
        for choice in choices
    ]
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(sql, values)


def _locked(choices: Sequence[Choice], using: str) -> tuple[list[Choice], list[Entry]]:
    """Lock the rows of ``choices``, and part those that still are as they were read from the others."""
    keys = [choice.entry.pk for choice in choices if choice.entry.pk]
    found = PeriodicTask.objects.using(using).select_for_update().filter(pk__in=keys, enabled=True)
    current = {pk: aware(last) for pk, last in found.values_list("pk", "last_run_at")}
    fresh, stale = [], []
    for choice in choices:
        entry = choice.entry
        if not entry.pk or (entry.pk in current and current[entry.pk] == entry.last_run_at):
            fresh.append(choice)
        else:
            stale.append(entry)
    return fresh, stale


def _records(choice: Choice) -> list[Record]:
    entry, records = choice.entry, []
    for at in choice.send:
        headers = {**entry.options["headers"], "maintenance_due": at.isoformat()}
        if choice.missed and at == choice.send[0]:
            headers["maintenance_missed"] = choice.missed
        message = {
            "task": entry.task,
            "args": entry.args,
            "kwargs": entry.kwargs,
            "options": {**entry.options, "headers": headers},
        }
        records.append(Record(due.task_id(entry.name, at), entry.name, at, message))
    return records
