"""The result backend that stores what retry_results and result_stats need: CELERY_RESULT_BACKEND names its class.

django-celery-results' own backend keeps of the arguments what their repr shows, 1024 characters of it at most. With
CELERY_RESULT_EXTENDED this one keeps them as the worker decoded them, as other backends of Celery do; and beside them
the queue, the number of retries, and since when the task could have run.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from celery.signals import task_prerun
from celery.utils.saferepr import saferepr
from django_celery_results.backends.database import DatabaseBackend as Base

from .. import sent

READY: Final = "ready_at"
# Larger arguments stay a repr: a table of results is no store for files.
MOST_BYTES: Final = 64_000
_KEPT: Final = "_maintenance_arguments"
# What differs between the sender's tuples and the lists that JSON makes of them.
_SHAPE = re.compile(r"[\[\](),\s]")


class DatabaseBackend(Base):  # type: ignore[misc] # has no types
    """django-db with arguments that can be sent again."""

    def keep_arguments(self, request: Any) -> dict[str, str]:
        """Return the encoded arguments, as they were before the task could change them; those not kept are left out."""
        kept: dict[str, str] | None = vars(request).get(_KEPT)
        if kept is None:
            kept = {}
            for column, shown in (("args", "argsrepr"), ("kwargs", "kwargsrepr")):
                value = getattr(request, column, None)
                if value is not None and not self._is_hidden(value, getattr(request, shown, None)):
                    encoded = self.encode_content(value)[2]
                    if len(encoded) <= MOST_BYTES:
                        kept[f"task_{column}"] = encoded
            setattr(request, _KEPT, kept)
        return kept

    def _is_hidden(self, value: Any, shown: str | None) -> bool:
        """Return whether the sender gave a repr of its own, to show less than the arguments: argsrepr=…"""
        if shown is None:
            return False
        amqp, levels = self.app.amqp, self.app.conf.task_repr_maxlevels
        # A truncated tuple may show a character more or less than the list.
        forms = (value, tuple(value)) if isinstance(value, list) else (value,)
        own = (saferepr(each, amqp.argsrepr_maxsize, maxlevels=levels) for each in forms)
        return _SHAPE.sub("", shown) not in {_SHAPE.sub("", each) for each in own}

    def _get_extended_properties(self, request: Any, traceback: Any) -> dict[str, Any]:
        properties: dict[str, Any] = super()._get_extended_properties(request, traceback)
        if request and self.app.conf.find_value_for_key("extended", "result"):
            properties |= self.keep_arguments(request)
        return properties

    def _get_meta_from_request(self, request: Any = None) -> dict[str, Any]:
        meta = dict(super()._get_meta_from_request(request) or {})
        if request and self.app.conf.find_value_for_key("extended", "result"):
            meta |= {"retries": getattr(request, "retries", None) or 0}
            if queue := _queue(self.app, getattr(request, "delivery_info", None) or {}):
                meta["queue"] = queue
            if ready := _ready(request):
                meta[READY] = ready
        return meta


def _queue(app: Any, delivery: Mapping[str, Any]) -> str | None:
    """Return the name of the declared queue that a message came from: with Celery's usual exchanges its routing key."""
    exchange, key = delivery.get("exchange") or "", delivery.get("routing_key")
    if not exchange or key in app.amqp.queues:
        return key
    ways = {(queue.exchange.name, queue.routing_key): name for name, queue in app.amqp.queues.items()}
    return ways.get((exchange, key))


def _ready(request: Any) -> float | None:
    """Return since when the task could have run, in seconds since 1970: when it was sent, or its ETA."""
    at, eta = getattr(request, sent.HEADER, None), getattr(request, "eta", None)
    if not isinstance(at, float):
        return None
    due = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
    return max(at, due.timestamp()) if isinstance(due, datetime) else at


@task_prerun.connect
def keep(task: Any, **kwargs: Any) -> None:
    """Keep the arguments before the task can change them."""
    if isinstance(task.backend, DatabaseBackend) and not task.request.ignore_result:
        task.backend.keep_arguments(task.request)
