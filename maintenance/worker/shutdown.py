"""A bounded shutdown for threads, solo, eventlet and gevent: running tasks get a window, then go back to the broker.

Celery's soft shutdown works on prefork only (5.7: NotImplementedError in kill_job; solo fails and acknowledges the
running task). Its warm shutdown waits for ever. So on the first stop signal a deadline starts. Two ways lead out:

* Celery's main thread reached the pool's stop: the wait there is cut at the deadline, and Celery goes on to close its
  connection, which returns every unacknowledged message.
* It could not: solo runs the task in it, a full green pool blocks it while it hands over a message, or Celery hangs on
  its way out. Then the deadline itself returns the messages through kombu's own QoS and ends the process.
"""

import logging
import os
import sys
import threading
import time
from typing import Any

from celery import signals
from celery.bootsteps import RUN  # type: ignore[attr-defined]
from celery.worker import state

from . import heart

logger = logging.getLogger(__name__)
POLL = 0.2
# Seconds that Celery's own way out may take once no task is running: the window leaves 5 s, or as long again, before
# SIGKILL.
PATIENCE = 4.0


def arm(worker: Any, *, pool: str, window: float) -> None:
    """Bound the coming shutdown of ``worker`` to ``window`` seconds after the first stop signal."""
    bounded = BoundedShutdown(worker, pool=pool, window=window)
    signals.worker_shutting_down.connect(bounded.begin, weak=False)
    signals.worker_shutdown.connect(bounded.end, weak=False)


class BoundedShutdown:
    """The one shutdown of a worker: when it began, and what was still running when its window closed."""

    def __init__(self, worker: Any, *, pool: str, window: float) -> None:
        self.worker, self.pool, self.window = worker, pool, window
        self.patience = min(PATIENCE, 0.8 * window)
        self.began: float | None = None
        self.abandoned = 0
        # Started now, because a signal handler that runs in eventlet's hub may not wait for a thread to start.
        threading.Thread(target=self.watch, name="shutdown-deadline", daemon=True).start()

    def begin(self, **kwargs: Any) -> None:
        """Start the deadline. Runs inside a signal handler: it must not wait for anything."""
        if self.began is None:
            self.began = time.monotonic()
            if self.pool in ("threads", "eventlet", "gevent"):
                self.worker.pool.on_stop = self.wait_in_pool

    def remaining(self) -> float:
        """Return the seconds until the window closes; it is open while no shutdown began."""
        return self.window if self.began is None else self.began + self.window - time.monotonic()

    def wait_in_pool(self) -> None:
        """Take the place of the pool's endless wait: return when its tasks are done or the window closes."""
        if self.pool == "threads":
            self.worker.pool.executor.shutdown(wait=False, cancel_futures=True)
        while state.active_requests and self.remaining() > 0:
            time.sleep(0.05)
        if state.active_requests:
            self.tell()
        elif self.pool == "threads":
            self.worker.pool.executor.shutdown(wait=True)

    def watch(self) -> None:
        """End a worker whose main thread cannot: stuck in a task or in handing one over, or hanging in its shutdown."""
        while self.began is None:
            time.sleep(POLL)
        idle_since: float | None = None
        while self.remaining() > 0 and (idle_since is None or time.monotonic() < idle_since + self.patience):
            time.sleep(min(POLL, max(0.01, self.remaining())))
            idle_since = None if state.active_requests else idle_since or time.monotonic()
        if self.worker.blueprint.state != RUN and state.active_requests:
            time.sleep(self.patience)  # Celery is on its way out: wait_in_pool has returned
        if state.active_requests and not self.abandoned:
            self.tell()
        return_messages(self.worker)
        leave()

    def end(self, **kwargs: Any) -> None:
        """Leave at once after Celery's own shutdown, when tasks were abandoned: their threads would be joined."""
        if self.abandoned:
            leave()

    def tell(self) -> None:
        """Say what is abandoned: late-acknowledged tasks run again, the others are lost by their own choice."""
        running = list(state.active_requests)
        self.abandoned = len(running)
        lost = [request for request in running if not request.task.acks_late]
        logger.warning(
            "Shutdown window of %gs is over: %d running task(s) go back to the broker and run again.",
            self.window,
            len(running) - len(lost),
        )
        for request in lost:
            logger.error(
                "Task %s[%s] was running, and had been acknowledged early: it is lost. Set acks_late=True on it.",
                request.name,
                request.id,
            )


def return_messages(worker: Any) -> None:
    """Return every unacknowledged message of ``worker`` to its queue.

    Virtual transports (Redis, filesystem, SQS …) keep them in a QoS a channel; an AMQP broker returns them by itself
    when the connection drops.
    """
    connection = getattr(worker.consumer, "connection", None)
    if connection is None:  # already closed, which returned them
        return
    for channel in list(getattr(connection.transport, "channels", None) or ()):
        qos: Any = getattr(channel, "qos", None)
        if hasattr(qos, "restore_unacked_once"):
            qos.restore_unacked_once(stderr=sys.stderr)


def leave() -> None:
    """End this process now, without joining the threads of abandoned tasks. Nothing is lost, so the status is 0."""
    heart.end()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
