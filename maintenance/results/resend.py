"""Sending failed tasks again, with the arguments that they had: at most once a failure."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from celery import Celery
from celery.states import FAILURE
from celery.utils import uuid
from django.db.models import QuerySet
from kombu.exceptions import DecodeError, OperationalError
from kombu.utils.json import loads

from ..errors import MaintenanceError, Unavailable
from . import tables

RETRIED_AS: Final = "retried_as"
_CHUNK: Final = 500
_LOSSLESS = 'Set CELERY_RESULT_BACKEND = "maintenance.results.backend:DatabaseBackend" for those to come.'


class UnknownResults(MaintenanceError):
    """There are no results of these tasks: {ids}."""

    hint = "`manage.py list_results --failed` shows the ids."


class BrokerGone(Unavailable):
    """The broker is unavailable: {reason}. Until then {sent} were sent again."""

    hint = "Run it again when it is back: nothing is sent twice."


@dataclass(frozen=True)
class Failure:
    """A failed task that can be sent again. ``meta`` is what its row says besides, to be compared when it is marked."""

    pk: int
    id: str
    task: str
    queue: str | None
    at: datetime
    args: list[Any] = field(repr=False)
    kwargs: dict[str, Any] = field(repr=False)
    meta: str | None = field(repr=False)


@dataclass(frozen=True)
class Refused:
    """A result that cannot be sent again, and why."""

    id: str
    task: str | None
    reason: str


@dataclass(frozen=True)
class Plan:
    """What would be sent again, what cannot be, and what has been already: task id → the id that it was sent as."""

    failures: tuple[Failure, ...]
    refused: tuple[Refused, ...]
    already: dict[str, str]


@dataclass(frozen=True)
class Resent:
    """A failure's id, and the id that it was sent again as."""

    id: str
    task: str
    sent_as: str


class _Unusable(Exception):
    """Why a result cannot be sent again."""


def by_id(ids: list[str], *, using: str | None = None) -> QuerySet[Any]:
    """Return the rows of these tasks. Raises UnknownResults, which names those that are missing."""
    rows = tables.tables(using).tasks.filter(task_id__in=ids)
    found = set(rows.values_list("task_id", flat=True))
    if missing := [each for each in ids if each not in found]:
        raise UnknownResults(ids=", ".join(map(repr, missing)))
    return rows


def plan(rows: QuerySet[Any], *, app: Celery, force: bool = False) -> Plan:
    """Return what of ``rows`` can be sent again; with ``force`` also what has been already, and what did not fail."""
    failures, refused, already = [], [], {}
    for row in rows.order_by("date_done", "pk").iterator(chunk_size=_CHUNK):
        try:
            before = _meta(row).get(RETRIED_AS)
            if before and not force:
                already[row.task_id] = before
            else:
                failures.append(_failure(row, app, force=force))
        except _Unusable as why:
            refused.append(Refused(row.task_id, row.task_name, str(why)))
    return Plan(tuple(failures), tuple(refused), already)


def send(chosen: Plan, *, app: Celery, using: str | None = None, tell: Callable[[Resent], None]) -> list[Resent]:
    """Send the failures again, and ``tell`` of each. One that somebody else marked meanwhile is left out.

    Each is marked before it is sent, so that no interruption makes it run twice. Raises BrokerGone.
    """
    rows = tables.tables(using).tasks
    sent: list[Resent] = []
    for failure in chosen.failures:
        again = Resent(failure.id, failure.task, uuid())
        mark = json.dumps({**json.loads(failure.meta or "{}"), RETRIED_AS: again.sent_as})
        unchanged = rows.filter(pk=failure.pk, date_done=failure.at, meta=failure.meta)
        if not unchanged.update(meta=mark):
            continue
        try:
            _send(failure, again.sent_as, app)
        except OperationalError as error:
            rows.filter(pk=failure.pk, meta=mark).update(meta=failure.meta)
            raise BrokerGone(reason=str(error), sent=len(sent)) from error
        sent.append(again)
        tell(again)
    return sent


def _send(failure: Failure, task_id: str, app: Celery) -> None:
    options: dict[str, Any] = {"task_id": task_id, **({"queue": failure.queue} if failure.queue else {})}
    task = app.tasks.get(failure.task)
    if task is None:
        app.send_task(failure.task, failure.args, failure.kwargs, **options)
    else:
        task.apply_async(tuple(failure.args), failure.kwargs, **options)


def _failure(row: Any, app: Celery, *, force: bool) -> Failure:
    if row.status != FAILURE and not force:
        raise _Unusable(f"it did not fail: it is {row.status}")
    if not row.task_name:
        raise _Unusable("its name is not stored: CELERY_RESULT_EXTENDED was off")
    args, kwargs = _arguments(row.task_args, list), _arguments(row.task_kwargs, dict)
    queue = _meta(row).get("queue")
    if queue is not None and not app.conf.task_create_missing_queues and queue not in app.amqp.queues:
        raise _Unusable(f"its queue {queue!r} is not among CELERY_TASK_QUEUES any more")
    return Failure(row.pk, row.task_id, row.task_name, queue, row.date_done, args, kwargs, row.meta)


def _arguments(stored: str | None, form: type) -> Any:
    if stored is None:
        raise _Unusable(f"its arguments are not stored: CELERY_RESULT_EXTENDED was off. {_LOSSLESS}")
    try:
        value = loads(stored)
    except (ValueError, DecodeError, TypeError) as error:
        raise _Unusable("its arguments are not stored as JSON") from error
    if not isinstance(value, form):
        raise _Unusable(f"of its arguments only the repr is stored, which may show less than they were. {_LOSSLESS}")
    return value


def _meta(row: Any) -> dict[str, Any]:
    try:
        meta = json.loads(row.meta or "{}")
    except ValueError as error:
        raise _Unusable("it is not stored as JSON") from error
    return meta if isinstance(meta, dict) else {}
