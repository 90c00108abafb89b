"""--burst: end the worker once nothing is queued, reserved, active or unacknowledged on its queues."""

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from celery import Celery, signals
from celery.worker import state
from kombu import Connection
from kombu.common import ignore_errors
from kombu.exceptions import ChannelError, KombuError

from maintenance import broker
from maintenance.broker import unacked

logger = logging.getLogger(__name__)
INTERVAL = 0.5


def start(worker: Any, *, max_wait: float) -> None:
    """Watch in the background, and ask ``worker`` for a warm shutdown once its queues are empty twice in a row."""
    threading.Thread(target=_watch, args=(worker, max_wait), name="burst", daemon=True).start()


def _watch(worker: Any, max_wait: float) -> None:
    queues = {queue.name for queue in worker.app.amqp.queues.consume_from.values()}
    empty = 0
    while empty < 2:
        time.sleep(INTERVAL)
        left = _left(worker.app, queues, max_wait)
        empty = empty + 1 if left == 0 else 0
    logger.info("Nothing is left on %s: the burst is over.", ", ".join(sorted(queues)))
    # As Celery's own signal handler does it, so that whoever bounds the shutdown hears of it.
    signals.worker_shutting_down.send(sender=worker.hostname, sig="burst", how="Warm", exitcode=0)
    state.should_stop = 0  # type: ignore[assignment] # the exit status, as Celery's signal handlers set it


def _left(app: Celery, queues: set[str], max_wait: float) -> int | None:
    """Return how much work is left, or None while the broker cannot tell."""
    connection = broker.bounded(app, url=app.conf.broker_read_url)
    errors = (*connection.connection_errors, *connection.channel_errors)
    trouble: tuple[type[BaseException], ...] = (*errors, OSError, KombuError)
    try:
        return unfinished(max_wait=max_wait) + waiting(app, connection, queues, max_wait=max_wait)
    except trouble as error:
        logger.warning("The broker cannot tell what is left (%s). Asking again.", error)
        return None
    finally:
        ignore_errors(connection, connection.release)


def unfinished(*, max_wait: float) -> int:
    """Return how many of this worker's own tasks are reserved, running, or due within ``max_wait`` seconds."""
    return sum(1 for request in list(state.requests.values()) if _soon(getattr(request, "eta", None), max_wait))


def waiting(app: Celery, connection: Connection, queues: set[str], *, max_wait: float) -> int:
    """Return how many messages are queued on ``queues``, or came from them and are held by any worker.

    Messages whose ETA lies more than ``max_wait`` seconds ahead do not count.
    """
    channel: Any = connection.default_channel
    count = sum(_size(channel, queue) for queue in queues)
    for each in unacked.held(app, channel):
        if not queues.isdisjoint(each.queues) and _soon(each.message["headers"].get("eta"), max_wait):
            count += 1
    return count


def _size(channel: Any, queue: str) -> int:
    if hasattr(channel, "unacked_key"):  # Redis, where kombu's passive declaration does not heed global_keyprefix
        return int(channel._size(queue))
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
