"""Rules of queues: every task must end in one that somebody consumes."""

from collections.abc import Iterator
from typing import Any

from kombu import Queue

from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts


@rule("default-queue-undeclared", ERROR, "queues")
def default_queue_undeclared(facts: Facts) -> Iterator[Trouble]:
    """Tasks without a route cannot be sent, or wait in a queue that no worker consumes.

    Workers consume the declared queues; the default one is only among them when it is declared too.
    Source: Celery, Configuration, task_default_queue.
    """
    default = facts.conf.task_default_queue
    if facts.queues and default not in facts.queues:
        fact = f"The default queue {default!r} is not among {facts.name('task_queues')}."
        yield Trouble(fact, f"Set {facts.line('task_default_queue', facts.queues[0])}, or declare {default!r}.")


@rule("queues-made-by-typos", WARNING, "queues")
def queues_made_by_typos(facts: Facts) -> Iterator[Trouble]:
    """A misspelt queue is made at once, and its tasks wait there for ever.

    With declared queues an unknown name should be an error where it is sent.
    Source: Celery, Configuration, task_create_missing_queues.
    """
    if facts.queues and facts.conf.task_create_missing_queues:
        yield Trouble(
            "Queues that are not declared are made silently.", f"Set {facts.line('task_create_missing_queues', False)}."
        )


@rule("route-to-nowhere", ERROR, "queues")
def route_to_nowhere(facts: Facts) -> Iterator[Trouble]:
    """Its tasks cannot be sent, or wait where no worker looks.

    Nothing compares routes, schedules and declared queues before the first task is sent.
    Source: Celery, Routing Tasks.
    """
    if not facts.queues:
        return
    for source, queue in _routed(facts):
        if queue not in facts.queues:
            cure = f"Correct it, or add it to {facts.name('task_queues')}: {', '.join(facts.queues)}."
            yield Trouble(f"{source} goes to the queue {queue!r}, which is not declared.", cure)


@rule("queue-unused", WARNING, "queues")
def queue_unused(facts: Facts) -> Iterator[Trouble]:
    """A worker waits for tasks that never come, or they go elsewhere by mistake.

    A queue that is neither the default, nor of a route, a task or a schedule gets only what code names by hand.
    Source: Celery, Routing Tasks.
    """
    used = {queue for _, queue in _routed(facts)} | {facts.conf.task_default_queue}
    by_code = _routes_by_code(facts)
    for queue in facts.queues:
        if queue not in used and not by_code:
            cure = f'Route tasks to it: {facts.name("task_routes")} = {{"app.tasks.name": {{"queue": "{queue}"}}}}.'
            yield Trouble(f"No task is routed to the queue {queue!r}.", cure)


@rule("queue-without-worker", ERROR, "queues")
def queue_without_worker(facts: Facts) -> Iterator[Trouble]:
    """Its tasks wait for ever.

    Every worker that the Procfile starts names its queues, and none of them names this one.
    Source: Celery, Workers Guide, "Queues".
    """
    workers = [worker for worker in facts.workers if facts.lines]
    consumed = {queue for worker in workers for queue in worker.queues}
    if workers and all(worker.queues for worker in workers):
        for queue in facts.queues or (facts.conf.task_default_queue,):
            if queue not in consumed:
                cure = f"Start one: `worker-{queue}: python manage.py run_worker -Q {queue}`."
                yield Trouble(f"No worker of the Procfile consumes the queue {queue!r}.", cure)


@rule("queue-not-durable", WARNING, "queues")
def queue_not_durable(facts: Facts) -> Iterator[Trouble]:
    """Its waiting tasks are gone when RabbitMQ restarts.

    Only durable queues and persistent messages survive. Source: RabbitMQ, Queues, "Durability".
    """
    if not facts.on_amqp:
        return
    for queue in facts.conf.task_queues or ():
        if isinstance(queue, Queue) and (not queue.durable or queue.auto_delete):
            cure = f'Declare Queue("{queue.name}", durable=True, auto_delete=False).'
            yield Trouble(f"The queue {queue.name!r} is not durable.", cure)
    if str(facts.conf.task_default_delivery_mode) in ("1", "transient"):
        cure = f"Set {facts.line('task_default_delivery_mode', 'persistent')}."
        yield Trouble("Messages are transient.", cure)


def _routed(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield every queue that settings name, with who names it."""
    routes: Any = facts.conf.task_routes or {}
    for each in [routes] if isinstance(routes, dict) else routes:
        for pattern, route in each.items() if isinstance(each, dict) else ():
            queue = route.get("queue") if isinstance(route, dict) else route
            if queue:
                yield f"{facts.name('task_routes')} of {pattern}", str(getattr(queue, "name", queue))
    for name, entry in facts.entries.items():
        queue = (entry.get("options") or {}).get("queue")
        if queue:
            yield f"The schedule {name!r}", str(getattr(queue, "name", queue))
    for name, task in facts.tasks.items():
        if getattr(task, "queue", None):
            yield f"The task {name}", str(task.queue)


def _routes_by_code(facts: Facts) -> bool:
    routes: Any = facts.conf.task_routes or {}
    return any(not isinstance(each, dict) for each in ([routes] if isinstance(routes, dict) else routes))
