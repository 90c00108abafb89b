"""Rules of time: what no limit bounds, and what a pool does not honour."""

from collections.abc import Iterator
from typing import Final

from ... import units
from ...broker import visibility
from .base import ERROR, WARNING, Trouble, rule
from .facts import GREEN, Facts

_LONG: Final = 300.0


@rule("no-time-limit", WARNING, "limits")
def no_time_limit(facts: Facts) -> Iterator[Trouble]:
    """One task that hangs takes its process for ever; as many as there are processes stop the worker.

    Celery limits nothing by default. Source: Celery, Workers Guide, "Time Limits".
    """
    unbounded = [name for name, task in facts.tasks.items() if not task.time_limit]
    if not facts.conf.task_time_limit and (unbounded or not facts.tasks):
        count = units.counted(len(unbounded), "task has", "tasks have")
        first = f", {unbounded[0]} for one" if unbounded else ""
        lines = f"{facts.line('task_soft_time_limit', 1500)}; {facts.line('task_time_limit', 1800)}"
        yield Trouble(f"{count} no time limit{first}.", f"Set {lines}.")


@rule("no-soft-time-limit", WARNING, "limits")
def no_soft_time_limit(facts: Facts) -> Iterator[Trouble]:
    """A task that takes too long is killed without a chance to clean up, and leaves no traceback.

    The soft limit raises SoftTimeLimitExceeded inside the task, the hard one kills its process.
    Source: Celery, Workers Guide, "Time Limits".
    """
    hard, soft = facts.conf.task_time_limit, facts.conf.task_soft_time_limit
    if hard and not soft:
        wanted = max(1, int(hard) - max(1, int(hard) // 6))
        yield Trouble(f"There is a hard limit ({hard:g}s) alone.", f"Set {facts.line('task_soft_time_limit', wanted)}.")


@rule("soft-limit-too-late", ERROR, "limits")
def soft_limit_too_late(facts: Facts) -> Iterator[Trouble]:
    """The task is killed before it hears that it should clean up.

    The soft limit must come first, by as long as cleaning up takes. Source: Celery, Workers Guide, "Time Limits".
    """
    hard, soft = facts.conf.task_time_limit, facts.conf.task_soft_time_limit
    if hard and soft and soft >= hard:
        wanted = max(1, int(hard) - max(1, int(hard) // 6))
        fact = f"The soft limit ({soft:g}s) is not below the hard one ({hard:g}s)."
        yield Trouble(fact, f"Set {facts.line('task_soft_time_limit', wanted)}.")
    for name, task in facts.tasks.items():
        hard, soft = task.time_limit or facts.conf.task_time_limit, task.soft_time_limit
        if hard and soft and soft >= hard:
            fact = f"The soft limit ({soft:g}s) of {name} is not below its hard one ({hard:g}s)."
            yield Trouble(fact, f"Give it soft_time_limit={max(1, int(hard) - max(1, int(hard) // 6))}.")


@rule("limits-ignored-by-pool", WARNING, "limits")
def limits_ignored_by_pool(facts: Facts) -> Iterator[Trouble]:
    """Nothing stops a task that hangs on this pool, although the settings look as if.

    Only prefork can raise in, and kill, another process; gevent honours the hard limit. Threads, solo and eventlet
    ignore both, silently. Source: Celery, Workers Guide, "Time Limits"; measured.
    """
    soft, hard = facts.conf.task_soft_time_limit, facts.conf.task_time_limit
    for worker in facts.workers:
        ignored = ["soft time limit"] if soft and worker.pool != "prefork" else []
        ignored += ["time limit"] if hard and worker.pool not in ("prefork", "gevent") else []
        if ignored:
            fact = f"The pool {worker.pool} of {worker.where} ignores the {' and the '.join(ignored)}."
            yield Trouble(fact, "Use --pool prefork, or give every request in its tasks a timeout.")


@rule("recycling-ignored-by-pool", WARNING, "limits")
def recycling_ignored_by_pool(facts: Facts) -> Iterator[Trouble]:
    """A leak grows until the host kills the worker, with whatever it was doing.

    max-tasks-per-child and max-memory-per-child replace child processes, which only prefork has.
    Source: Celery, Workers Guide, "Max tasks per child setting".
    """
    options = ("worker_max_tasks_per_child", "worker_max_memory_per_child")
    given = [option for option in options if facts.conf[option]]
    for worker in facts.workers:
        if given and worker.pool != "prefork":
            names = " and ".join(map(facts.name, given))
            yield Trouble(f"The pool {worker.pool} of {worker.where} ignores {names}.", "Use --pool prefork.")


@rule("prefetch-hoards", WARNING, "limits")
def prefetch_hoards(facts: Facts) -> Iterator[Trouble]:
    """Short tasks wait behind a long one in a worker that took them in advance, while others idle.

    worker_prefetch_multiplier (4 by default) is how many messages each process reserves: good for many short tasks,
    bad where one of them takes minutes. Source: Celery, Optimizing, "Prefetch Limits".
    """
    limit, source = visibility.longest(facts.app)
    count = facts.conf.worker_prefetch_multiplier
    if count and count > 1 and (limit >= _LONG or not facts.conf.task_time_limit):
        long = f"{source} allows {units.human_duration(limit)}" if limit else "no time limit says that tasks are short"
        fact = f"Each process reserves {count} tasks, and {long}."
        yield Trouble(fact, f"Set {facts.line('worker_prefetch_multiplier', 1)}.")


@rule("prefetch-unlimited", ERROR, "limits")
def prefetch_unlimited(facts: Facts) -> Iterator[Trouble]:
    """The first worker takes the whole queue into its memory; the others have nothing to do.

    worker_prefetch_multiplier 0 means without limit. Source: Celery, Configuration, worker_prefetch_multiplier.
    """
    if facts.conf.worker_prefetch_multiplier == 0:
        yield Trouble("Workers reserve without limit.", f"Set {facts.line('worker_prefetch_multiplier', 1)}.")


@rule("green-pool-in-settings", ERROR, "limits")
def green_pool_in_settings(facts: Facts) -> Iterator[Trouble]:
    """The worker says ready and runs nothing, or blocks on every task.

    A green pool must patch the standard library before anything else is imported: -P does, the setting comes too
    late. Measured: 0 of 100 tasks in 60 s. run_worker passes -P. Source: Celery, Configuration, worker_pool.
    """
    pool = str(facts.conf.worker_pool)
    if pool in GREEN and not all(worker.is_planned for worker in facts.workers):
        cure = f"Take it away, and start `manage.py run_worker --pool {pool}`."
        yield Trouble(f"{facts.name('worker_pool')} is {pool}.", cure)


@rule("green-pool-unpatched", ERROR, "limits")
def green_pool_unpatched(facts: Facts) -> Iterator[Trouble]:
    """The worker says ready and runs nothing.

    Inside manage.py Django is imported long before the pool could patch it. Only `celery worker -P` at the very
    start, or run_worker, which becomes it, is early enough. Measured: 0 of 100 tasks in 60 s.
    """
    for line in facts.lines:
        pool = line.option("-P", "--pool") or ""
        if pool in GREEN and line.runs("manage.py", "./manage.py") and not line.runs("run_worker"):
            cure = f"Make it `python manage.py run_worker --pool {pool}`."
            yield Trouble(f"The Procfile's {line.name} starts {pool} inside manage.py.", cure)


@rule("never-recycled", WARNING, "limits", deploy=True)
def never_recycled(facts: Facts) -> Iterator[Trouble]:
    """A slow leak in any task or library grows until the host kills the worker.

    Replacing children after so many tasks costs little. run_worker sets a memory limit by itself where the host has
    one. Source: Celery, Workers Guide, "Max tasks per child setting".
    """
    given = facts.conf.worker_max_tasks_per_child or facts.conf.worker_max_memory_per_child
    if not given and any(worker.pool == "prefork" for worker in facts.workers):
        yield Trouble("Worker processes are never replaced.", f"Set {facts.line('worker_max_tasks_per_child', 1000)}.")
