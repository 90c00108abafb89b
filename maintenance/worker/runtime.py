"""What runs inside the Celery worker that run_worker started (celery worker --include this module).

It refuses a green pool that was not monkey-patched, keeps the heartbeat file, ends --burst, and bounds the shutdown of
the pools on which Celery's soft shutdown would lose the running task. (Database connections need nothing of us:
Celery's own Django fixup closes them after each task, in the thread or greenlet that used them.)
"""

import logging
import sys
from typing import Any

from celery import signals

from maintenance import heartbeat, process

from . import burst, heart, shutdown
from .sizing import GREEN

logger = logging.getLogger(__name__)


@signals.worker_init.connect
def prepare(sender: Any, **kwargs: Any) -> None:
    """Check the patch and arm what the plan asked for, before the pool exists."""
    environment = process.environment()
    pool = _pool_of(sender)
    problem = unpatched(pool)
    if problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2)
    if heartbeat.VARIABLE in environment:
        heart.arm(sender, pool=pool, folder=heartbeat.folder(environment))
    if pool in GREEN:
        stop_confirming(sender.app.conf)
    if pool != "prefork":
        window = float(environment.get("MAINTENANCE_WORKER_WINDOW", 25))
        shutdown.arm(sender, pool=pool, window=window)
    if "MAINTENANCE_WORKER_BURST" in environment:
        max_wait = float(environment["MAINTENANCE_WORKER_BURST"])
        signals.worker_ready.connect(lambda **_: burst.start(sender, max_wait=max_wait), weak=False)


def unpatched(pool: str) -> str | None:
    """Return why a green pool would not run a single task, or None."""
    if pool == "eventlet":
        from eventlet import patcher

        patched = patcher.is_monkey_patched("socket") and patcher.is_monkey_patched("thread")
    elif pool == "gevent":
        from gevent import monkey

        patched = monkey.is_module_patched("socket") and monkey.is_module_patched("threading")
    else:
        return None
    if patched:
        return None
    return (
        f"The pool {pool} was not monkey-patched before Celery was imported: it would accept tasks and run none. "
        f"Start it with `manage.py run_worker --pool {pool}`, and import nothing of Celery from sitecustomize."
    )


def stop_confirming(settings: Any) -> None:
    """Turn publisher confirms off: with them, two greenlets of an AMQP worker read one socket and wait for ever.

    Measured on Celery 5.7 with eventlet: the event dispatcher never gave its lock back, and the worker never ended.
    """
    options = dict(settings.broker_transport_options or {})
    if options.pop("confirm_publish", None):
        settings.broker_transport_options = options
        logger.warning("confirm_publish is off in this worker: with it, a green pool hangs on AMQP.")


def _pool_of(worker: Any) -> str:
    cls = worker.pool_cls
    module = cls if isinstance(cls, str) else cls.__module__
    names = {"thread": "threads"}
    last = module.partition(":")[0].rpartition(".")[2]
    return names.get(last, last)
