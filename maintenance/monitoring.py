"""Telling a schedule's monitor, MAINTENANCE["SCHEDULES"][name]["PING"], that a run begins and how it ended.

For every task that a schedule sends, not only ours. A ping that fails is a line in the log and nothing else.
"""

import logging
import threading
from typing import Any, Final
from urllib.parse import urlsplit

from billiard.exceptions import WorkerLostError
from celery import signals

from . import conf, ping

logger = logging.getLogger(__name__)

START: Final = "start"
SUCCESS: Final = ""
FAIL: Final = "fail"


class Skipped(dict[str, Any]):
    """The answer of a run that did nothing, since another one was at it: neither a success nor a failure."""


def connect() -> None:
    """Listen to the tasks of this process."""
    signals.task_prerun.connect(_began, dispatch_uid="maintenance.monitoring")
    signals.task_success.connect(_succeeded, dispatch_uid="maintenance.monitoring")
    signals.task_failure.connect(_failed, dispatch_uid="maintenance.monitoring")


def schedule_of(request: Any) -> str:
    """Return the name of the schedule that sent a task, or an empty string."""
    headers = getattr(request, "headers", None) or {}
    return str(getattr(request, "periodic_task_name", None) or headers.get("periodic_task_name") or "")


def tell(request: Any, sign: str) -> None:
    """Tell the monitor of the schedule that sent this run, if it has one. Takes at most 5 s and raises nothing."""
    name = schedule_of(request)
    entry = conf.get().schedules.get(name) if name else None
    if entry is None or not entry.ping:
        return
    trouble = ping.send(ping.signed(entry.ping, sign))
    if trouble:
        host = urlsplit(entry.ping).hostname
        logger.warning("Schedule %r: the ping %r to %s failed: %s.", name, sign or "success", host, trouble)


def _began(task: Any = None, **kwargs: Any) -> None:
    # A task that may skip its run tells by itself, once it does not.
    if not getattr(task, "tells_its_start", False):
        tell(task.request, START)


def _succeeded(sender: Any = None, result: Any = None, **kwargs: Any) -> None:
    if not isinstance(result, Skipped):
        tell(sender.request, SUCCESS)


def _failed(sender: Any = None, exception: Any = None, **kwargs: Any) -> None:
    if isinstance(exception, WorkerLostError):
        # Its process is gone: this is the worker's own, whose loop must not wait.
        threading.Thread(target=tell, args=(sender.request, FAIL), name="ping", daemon=True).start()
    else:
        # A run that its hard time limit killed has left no request to know the schedule by: its monitor hears nothing.
        tell(sender.request, FAIL)
