"""The worker's heartbeat file: touched by its main loop, so that it goes stale when that hangs.

* An event loop (prefork, threads and solo on Redis and AMQP): a timer of the loop.
* Celery's plain loop (green pools; other brokers): each of its turns, of at most 2 s. It waits in the hand-over of a
  task while the pool is full, which is no fault: meanwhile the worker's timer beats in its place.
* solo runs a task in the main loop: it writes how long it may be silent before each one.
* Without a connection the main loop waits for the broker: a thread beats, as liveness must not depend on the broker.
"""

import threading
from collections.abc import Callable
from typing import Any

from celery import bootsteps, signals
from celery.worker import state

from maintenance.heartbeat import WORKER, Heart, file_name

EVERY = 5.0
# Seconds: for a task of a solo worker without a time limit, and what a limit needs to be enforced or reported.
NO_LIMIT, MARGIN = 3600.0, 10.0


class Worker:
    """The heartbeat of one worker process, and what its loop is doing."""

    def __init__(self, worker: Any, *, pool: str, folder: str) -> None:
        self.worker, self.pool = worker, pool
        self.heart = Heart(f"{folder}/{file_name(WORKER, worker.hostname)}")
        self.connected, self._ended = threading.Event(), threading.Event()

    def begin(self) -> None:
        """Beat from now on, at first without a connection."""
        self.heart.ready(False)
        threading.Thread(target=self._while_waiting, name="heartbeat", daemon=True).start()

    def begin_loop(self, consumer: Any) -> Callable[[], None]:
        """Let the main loop of ``consumer`` beat; return what takes that back."""
        self.connected.set()
        self.heart.ready(True)
        if consumer.hub is not None:
            return _cancelled(consumer.hub.timer, consumer.hub.timer.call_repeatedly(EVERY, self.heart.beat))
        turn = consumer.perform_pending_operations

        def turned() -> None:
            self.heart.beat()
            turn()

        consumer.perform_pending_operations = turned
        cancel = _cancelled(consumer.timer, consumer.timer.call_repeatedly(EVERY, self._while_full))

        def end() -> None:
            cancel()
            consumer.perform_pending_operations = turn

        return end

    def lost(self) -> None:
        """The connection is gone: the main loop will wait for another."""
        self.connected.clear()
        self.heart.ready(False)

    def end(self, **kwargs: Any) -> None:
        """Beat no longer: this is a clean exit."""
        self._ended.set()
        self.heart.end()

    def before_task(self, task: Any = None, **kwargs: Any) -> None:
        """Allow for the silence of a task that runs in the main loop."""
        limit = (getattr(task.request, "timelimit", None) or (None,))[0] or task.time_limit
        self.heart.busy((limit or task.app.conf.task_time_limit or NO_LIMIT) + MARGIN)

    def after_task(self, **kwargs: Any) -> None:
        """The main loop turns again."""
        self.heart.idle()

    def _while_waiting(self) -> None:
        while not self._ended.wait(EVERY):
            if not self.connected.is_set():
                self.heart.beat()

    def _while_full(self) -> None:
        if len(state.reserved_requests) >= self.worker.concurrency:
            self.heart.beat()


class Step(bootsteps.StartStopStep):
    """In the consumer, which starts anew with each connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    beating: "Worker | None" = None

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._end_loop: Callable[[], None] | None = None

    def start(self, consumer: Any) -> None:
        if Step.beating is not None:
            self._end_loop = Step.beating.begin_loop(consumer)

    def stop(self, consumer: Any) -> None:
        if self._end_loop is not None and Step.beating is not None:
            self._end_loop()
            self._end_loop = None
            Step.beating.lost()


def arm(worker: Any, *, pool: str, folder: str) -> None:
    """Give ``worker``, which is about to start, a heartbeat in ``folder``."""
    beating = Step.beating = Worker(worker, pool=pool, folder=folder)
    worker.app.steps["consumer"].add(Step)
    beating.begin()
    signals.worker_shutdown.connect(beating.end, weak=False)
    if pool == "solo":
        signals.task_prerun.connect(beating.before_task, weak=False)
        signals.task_postrun.connect(beating.after_task, weak=False)


def end() -> None:
    """End the heartbeat of this process, where there is one: it leaves without Celery's own farewell."""
    if Step.beating is not None:
        Step.beating.end()


def _cancelled(timer: Any, entry: Any) -> Callable[[], None]:
    return lambda: timer.cancel(entry)
