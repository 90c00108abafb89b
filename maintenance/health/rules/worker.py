"""Rules of workers: acknowledging, eager mode, logging and events."""

from collections.abc import Iterator

from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts


@rule("always-eager", ERROR, "worker")
def always_eager(facts: Facts) -> Iterator[Trouble]:
    """Every delay() runs inside the web request: nothing is ever in the background, and no worker gets a task.

    task_always_eager is for tests, and belongs into their settings. Source: Celery, Testing with Celery.
    """
    if facts.conf.task_always_eager:
        yield Trouble(f"{facts.name('task_always_eager')} is on.", f"Set {facts.line('task_always_eager', False)}.")


@rule("acks-late-but-lost", WARNING, "worker")
def acks_late_but_lost(facts: Facts) -> Iterator[Trouble]:
    """A task whose process is killed (out of memory, say) is marked as failed and does not run again.

    acks_late alone covers a worker that dies as a whole; for a single child, reject_on_worker_lost is needed too.
    A task that says so by itself has made its choice: it may run twice, or it may not.
    Source: Celery, Configuration, task_reject_on_worker_lost.
    """
    if facts.conf.task_acks_late and not facts.conf.task_reject_on_worker_lost:
        cure = f"Set {facts.line('task_reject_on_worker_lost', True)}."
        yield Trouble("Tasks acknowledge late, but not when their process is lost.", cure)


@rule("reject-without-acks-late", WARNING, "worker")
def reject_without_acks_late(facts: Facts) -> Iterator[Trouble]:
    """Nothing comes back: a task that was acknowledged at its start is gone with its process.

    reject_on_worker_lost has an effect on late acknowledgement only.
    Source: Celery, Configuration, task_reject_on_worker_lost.
    """
    late = facts.conf.task_acks_late or any(task.acks_late for task in facts.tasks.values())
    if facts.conf.task_reject_on_worker_lost and not late:
        fact = f"{facts.name('task_reject_on_worker_lost')} is on, and no task acknowledges late."
        yield Trouble(fact, f"Set {facts.line('task_acks_late', True)}.")


@rule("failures-rejected", WARNING, "worker")
def failures_rejected(facts: Facts) -> Iterator[Trouble]:
    """A message whose task failed is dropped by the broker, unless a dead letter exchange takes it.

    task_acks_on_failure_or_timeout off rejects without requeueing.
    Source: Celery, Configuration, task_acks_on_failure_or_timeout.
    """
    if facts.conf.task_acks_on_failure_or_timeout is False and facts.on_redis:
        cure = f"Set {facts.line('task_acks_on_failure_or_timeout', True)}, and let tasks retry."
        yield Trouble("Failed tasks are rejected, and Redis has no dead letters.", cure)


@rule("runs-on-after-reconnect", WARNING, "worker")
def runs_on_after_reconnect(facts: Facts) -> Iterator[Trouble]:
    """After each break of the broker's connection its running tasks run twice, side by side.

    The broker hands out again what was not acknowledged, while the first run goes on and can no longer acknowledge.
    Source: Celery, Configuration, worker_cancel_long_running_tasks_on_connection_loss.
    """
    name = "worker_cancel_long_running_tasks_on_connection_loss"
    if facts.conf.task_acks_late and not facts.conf[name]:
        yield Trouble("Late acknowledged tasks go on when the connection is lost.", f"Set {facts.line(name, True)}.")


@rule("logging-hijacked", WARNING, "worker")
def logging_hijacked(facts: Facts) -> Iterator[Trouble]:
    """Your handlers (files, Sentry, JSON lines) get nothing from workers.

    By default a worker removes the root logger's handlers and puts its own there.
    Source: Celery, Tasks, "Logging"; Configuration, worker_hijack_root_logger.
    """
    root = (facts.django("LOGGING") or {}).get("root")
    if root and facts.conf.worker_hijack_root_logger:
        fact = "LOGGING configures the root logger, and workers replace its handlers."
        yield Trouble(fact, f"Set {facts.line('worker_hijack_root_logger', False)}.")


@rule("flower-without-events", WARNING, "worker")
def flower_without_events(facts: Facts) -> Iterator[Trouble]:
    """Flower shows workers, and no task.

    Workers send events only when told to (-E, or this setting). Source: Celery, Configuration,
    worker_send_task_events.
    """
    flower = any(line.runs("run_flower", "flower") for line in facts.lines)
    told = all(
        line.option("-E", "--task-events") is not None for line in facts.lines if line.runs("worker", "run_worker")
    )
    if flower and not facts.conf.worker_send_task_events and not told:
        yield Trouble("Workers send no events.", f"Set {facts.line('worker_send_task_events', True)}.")


@rule("events-pile-up", WARNING, "worker")
def events_pile_up(facts: Facts) -> Iterator[Trouble]:
    """Events of a monitor that went away fill the broker's memory.

    Each monitor has a queue of its own for events; without a lifetime theirs stays behind on RabbitMQ.
    Source: Celery, Configuration, event_queue_expires, event_queue_ttl.
    """
    if facts.conf.worker_send_task_events and facts.on_amqp:
        for option, wanted in (("event_queue_expires", 60), ("event_queue_ttl", 5)):
            if not facts.conf[option]:
                yield Trouble(f"{facts.name(option)} is off.", f"Set {facts.line(option, wanted)}.")


@rule("worker-not-planned", WARNING, "worker")
def worker_not_planned(facts: Facts) -> Iterator[Trouble]:
    """At a deploy running tasks are killed in the middle, and the worker takes more memory than the host gives.

    run_worker fits concurrency, memory and the shutdown's window into what the host gives; `celery worker` knows
    none of it. Source: docs/architecture.md, "Shutdown is bounded on every pool".
    """
    for line in facts.lines:
        if line.runs("celery") and line.runs("worker"):
            cure = f"Make it `{line.name}: python manage.py run_worker`."
            yield Trouble(f"The Procfile's {line.name} starts celery worker by itself.", cure)


@rule("remote-control-off", WARNING, "worker")
def remote_control_off(facts: Facts) -> Iterator[Trouble]:
    """Nobody can ask a worker whether it is there: doctor, ops_status and Flower see none.

    worker_enable_remote_control off saves a few messages, and takes inspect, revoke and ping away.
    Source: Celery, Configuration, worker_enable_remote_control.
    """
    if not facts.conf.worker_enable_remote_control:
        yield Trouble("Workers cannot be asked.", f"Set {facts.line('worker_enable_remote_control', True)}.")
