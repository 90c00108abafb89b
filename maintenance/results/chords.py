"""Counters of chords that can never complete."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from celery.states import READY_STATES
from django.db.models import QuerySet

from .tables import Tables

_CHUNK: Final = 400


def orphans(given: Tables, *, before: datetime | None) -> Iterator[QuerySet[Any]]:
    """Yield the counters whose chord cannot complete, or only with results that go because they are older; in parts.

    A member's result is stored before it is counted down: one that is missing although it was counted has been deleted.
    A chord of which nothing finished yet is never among them: its members may still wait in the queue.
    """
    if before is None:
        return
    rows = given.chords.order_by("pk").iterator(chunk_size=_CHUNK)
    for part in _parts([row.pk for row in rows if _is_orphan(row, given.tasks, before)]):
        yield given.chords.filter(pk__in=part)


def _is_orphan(row: Any, tasks: QuerySet[Any], before: datetime) -> bool:
    try:
        members = list(_leaves(json.loads(row.sub_tasks)))
    except (ValueError, TypeError):
        return False
    if not members:
        return True
    ready = [at for part in _parts(members) for at in _ready(tasks, part)]
    counted = len(members) - row.count
    return len(ready) < counted or (bool(ready) and max(ready) < before)


def _ready(tasks: QuerySet[Any], ids: list[str]) -> QuerySet[Any]:
    return tasks.filter(task_id__in=ids, status__in=READY_STATES).values_list("date_done", flat=True)


def _leaves(results: Iterable[Any]) -> Iterator[str]:
    """Yield the task ids of (id or (id, parent), children) pairs; those of a group inside are its children's."""
    for result, children in results:
        if children is not None:
            yield from _leaves(children)
        else:
            yield result if isinstance(result, str) else result[0]


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
