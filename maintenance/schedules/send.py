"""Sending a schedule's task now, the way beat sends it."""

import json
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.utils.json import loads

from ..errors import MaintenanceError
from . import select, stored
from .entries import Entry


class NotJson(MaintenanceError):
    """The schedule {name!r} has {what} that are not JSON: {text!r}."""

    hint = "Mend them in the admin."


@dataclass(frozen=True)
class Message:
    """What beat hands to apply_async for a schedule."""

    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]


def message(name: str, *, using: str) -> Message:
    """Return what beat would send for the schedule ``name``. Raises UnknownSchedule, NotJson."""
    rows = stored.read(using=using).rows
    select.known([name], among=rows)
    entry = rows[name].entry
    options = {key: getattr(entry, key) for key in ("queue", "exchange", "routing_key", "priority")}
    options = {key: value for key, value in options.items() if value is not None}
    if entry.expires or entry.expire_seconds:
        options["expires"] = entry.expires or entry.expire_seconds
    headers = {**_loaded(entry, "headers"), "periodic_task_name": name}
    kept = json.loads(entry.options)
    headers |= kept.pop("headers", {})
    return Message(
        entry.task, _loaded(entry, "args"), _loaded(entry, "kwargs"), {**options, **kept, "headers": headers}
    )


def now(sent: Message, *, app: Celery) -> Any:
    """Send the message and return its AsyncResult. The task's own options count where the project knows it."""
    task = app.tasks.get(sent.task)
    if task is not None:
        return task.apply_async(tuple(sent.args), sent.kwargs, **sent.options)
    return app.send_task(sent.task, sent.args, sent.kwargs, **sent.options)


def _loaded(entry: Entry, what: str) -> Any:
    try:
        return loads(getattr(entry, what))
    except ValueError as error:
        raise NotJson(name=entry.name, what=what, text=getattr(entry, what)) from error
