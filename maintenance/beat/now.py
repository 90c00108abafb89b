"""One schedule sent at once, as beat sends it, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as NotFinished
from django_celery_beat.models import PeriodicTask

from .. import units
from ..errors import MaintenanceError, Unavailable
from ..models import ManagedSchedule
from ..schedules import select
from . import messages
from .line import BrokerTrouble
from .sending import Sender

# Seconds for one answer of the broker.
PATIENCE = 5.0


class Unsendable(MaintenanceError):
    """The schedule {name!r} cannot be sent: {reason}."""

    hint = "Mend it in the admin."


class Unfinished(MaintenanceError):
    """The task {id} did not finish within {time}."""

    exit_code = 75
    hint = "Is there a worker for its queue? Look at its result later, or pass a longer --timeout."


class Failed(MaintenanceError):
    """The task {id} ended with {status}: {reason}."""


@dataclass(frozen=True)
class Sent:
    """A task that was sent for a schedule."""

    name: str
    task: str
    id: str
    outcome: Any = field(repr=False, compare=False)


def send(name: str, *, app: Celery, broker: str, using: str) -> Sent:
    """Send the schedule ``name``, enabled or not. Raises UnknownSchedule, Unsendable, Unavailable."""
    rows = PeriodicTask.objects.using(using)
    row = rows.filter(name=name).values("name", *messages.COLUMNS).first()
    if row is None:
        select.known([name], among=list(rows.values_list("name", flat=True)))
        raise select.UnknownSchedule(name=name, suggestion="")
    try:
        message = messages.of(row, _kept(name, using))
    except ValueError as error:
        raise Unsendable(name=name, reason=error) from error
    sender = Sender(app, patience=PATIENCE)
    try:
        outcome = sender.publish(message)
    except BrokerTrouble as error:
        raise Unavailable(service=f"The broker {broker}", reason=str(error)) from error
    except RuntimeError as error:  # Celery's, where the Redis that keeps results is down
        raise Unavailable(service="The result store", reason=" ".join(str(error).split()).rstrip(".")) from error
    finally:
        sender.close()
    return Sent(name, message["task"], outcome.id, outcome)


def wait(sent: Sent, *, patience: timedelta) -> Mapping[str, Any]:
    """Return ``status`` and ``result`` once the task has finished. Raises Unfinished, Failed, Unavailable (results)."""
    if sent.outcome.ignored:
        raise Unavailable(service="The result", reason=f"the task {sent.task!r} ignores its results")
    try:
        sent.outcome.get(timeout=patience.total_seconds(), propagate=False)
    except NotFinished as error:
        raise Unfinished(id=sent.id, time=units.human_duration(patience)) from error
    except NotImplementedError as error:
        reason = "the project keeps no results (CELERY_RESULT_BACKEND)"
        raise Unavailable(service="The result", reason=reason) from error
    if not sent.outcome.successful():
        raise Failed(id=sent.id, status=sent.outcome.status, reason=repr(sent.outcome.result))
    return {"status": sent.outcome.status, "result": sent.outcome.result}


def _kept(name: str, using: str) -> Mapping[str, Any]:
    kept = ManagedSchedule.objects.using(using).filter(name=name).values_list("options", flat=True).first()
    return kept or {}
