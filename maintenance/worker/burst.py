"""--burst: end the worker once nothing is queued, reserved, active or unacknowledged on its queues."""

import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from celery import signals
from celery.worker import state
from kombu import Connection
from kombu.exceptions import ChannelError

logger = logging.getLogger(__name__)
INTERVAL = 0.5


def start(worker: Any, *, max_wait: float) -> None:
    """Watch in the background, and ask ``worker`` for a warm shutdown once its queues are empty twice in a row."""
    threading.Thread(target=_watch, args=(worker, max_wait), name="burst", daemon=True).start()


def _watch(worker: Any, max_wait: float) -> None:
    queues = list(worker.app.amqp.queues.consume_from)
    empty = 0
    while empty < 2:
        time.sleep(INTERVAL)
        with worker.app.connection_for_read() as connection:
            left = unfinished(max_wait=max_wait) + waiting(connection, queues, max_wait=max_wait)
        empty = 0 if left else empty + 1
    logger.info("Nothing is left on %s: the burst is over.", ", ".join(queues))
    # As Celery's own signal handler does it, so that whoever bounds the shutdown hears of it.
    signals.worker_shutting_down.send(sender=worker.hostname, sig="burst", how="Warm", exitcode=0)
    state.should_stop = 0  # type: ignore[assignment]


def unfinished(*, max_wait: float) -> int:
    """Return how many of this worker's own tasks are reserved, running, or due within ``max_wait`` seconds."""
    return sum(1 for request in list(state.requests.values()) if _soon(getattr(request, "eta", None), max_wait))


def waiting(connection: Connection, queues: list[str], *, max_wait: float) -> int:
    """Return how many messages are queued, or held unacknowledged by any worker, on ``queues``.

    Messages whose ETA lies more than ``max_wait`` seconds ahead do not count.
    """
    channel = connection.default_channel
    count = sum(_size(channel, queue) for queue in queues)
    if hasattr(channel, "unacked_key") and hasattr(channel, "client"):
        for raw in channel.client.hvals(channel.unacked_key):
            message, _exchange, routing_key = json.loads(raw)
            if routing_key in queues and _soon(message.get("headers", {}).get("eta"), max_wait):
                count += 1
    return count


def _size(channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except ChannelError:  # not declared yet, so nothing was ever sent to it
        return 0


def _soon(eta: Any, max_wait: float) -> bool:
    if eta is None:
        return True
    moment = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return bool((moment - datetime.now(UTC)).total_seconds() <= max_wait)
