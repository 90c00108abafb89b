"""What a row of the tables sends, and the one way in which it is handed to Celery."""

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu.utils.json import loads

from ..schedules.moments import aware

Row = Mapping[str, Any]
Message = Mapping[str, Any]
"""``task``, ``args``, ``kwargs`` and ``options``: what apply_async takes."""

COLUMNS = (
    *("task", "args", "kwargs", "queue", "exchange", "routing_key", "priority", "headers"),
    *("expires", "expire_seconds"),
)


def of(row: Row, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message of a row, with the options that ManagedSchedule ``kept``. Raises ValueError for bad JSON."""
    options = {name: row[name] for name in ("queue", "exchange", "routing_key") if row[name]}
    if row["priority"] is not None:
        options["priority"] = row["priority"]
    expires = aware(row["expires"]) or row["expire_seconds"]
    if expires:
        options["expires"] = expires
    headers = {**_json(row, "headers", dict), **kept.get("headers", {}), "periodic_task_name": row["name"]}
    return {
        "task": row["task"],
        "args": _json(row, "args", list),
        "kwargs": _json(row, "kwargs", dict),
        "options": {**options, **kept, "headers": headers},
    }


def publish(app: Celery, message: Message, **delivery: Any) -> Any:
    """Send a message and return its AsyncResult. The task's own options count where the project knows it."""
    headers = {**message["options"]["headers"], "celery_beat_task": True}
    options = {**message["options"], **delivery, "headers": headers}
    task = app.tasks.get(message["task"])
    if task is not None:
        return task.apply_async(message["args"], message["kwargs"], **options)
    return app.send_task(message["task"], message["args"], message["kwargs"], **options)


def _json(row: Row, name: str, kind: type[Any]) -> Any:
    text = row[name]
    try:
        value = loads(text) if text else kind()
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"its {name} {text!r} are no JSON {'list' if kind is list else 'object'}")
    return value
