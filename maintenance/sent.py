"""When a message was sent, noted in the message itself: its wait is known in the queue and after."""

import time
from typing import Any, Final

from celery.signals import before_task_publish

HEADER: Final = "maintenance_sent"
"""Seconds since 1970."""


def connect() -> None:
    """Stamp every task message that this process sends."""
    before_task_publish.connect(_stamp, dispatch_uid="maintenance.sent")


def _stamp(headers: dict[str, Any], **kwargs: Any) -> None:
    headers[HEADER] = round(time.time(), 3)
