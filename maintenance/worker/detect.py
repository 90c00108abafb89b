"""The facts a plan is made of: this machine, and the host project's Celery settings."""

import sys
from collections.abc import Mapping

from celery.utils.sysinfo import cpu_budget  # type: ignore[attr-defined]

from maintenance import conf, heartbeat, host
from maintenance.project import Found

from .facts import Machine, Project
from .sizing import GREEN


def machine(environ: Mapping[str, str], *, pool: str | None) -> Machine:
    """Return what this machine gives. Green pools are tried only where they matter: asked for, or on Windows."""
    budget = cpu_budget(use_cgroup_quota=True)
    quota = "" if budget.quota is None else f", cgroup quota {budget.quota:g}"
    platform = host.platform()
    tried = [name for name in GREEN if name == pool or (name == "eventlet" and platform == "win32")]
    reasons = {name: host.why_not_importable(name) for name in tried}
    return Machine(
        platform=platform,
        python=sys.executable,
        cpus=budget.count,
        cpu_reason=f"{budget.available} CPUs available{quota}",
        memory_limit=host.memory_limit(),
        hosting=host.hosting(environ),
        unusable_pools={name: reason for name, reason in reasons.items() if reason},
        run_dir=heartbeat.folder(environ),
    )


def project(found: Found, worker: conf.Worker) -> Project:
    """Return what the host project's settings say of its workers. Raises nothing and connects to nothing."""
    settings = found.app.conf
    configured = settings.worker_pool if settings.worker_pool != "prefork" else None
    return Project(
        app=found.name,
        queues=tuple(found.app.amqp.queues),
        creates_missing_queues=bool(settings.task_create_missing_queues),
        pool=configured,
        concurrency=settings.worker_concurrency,
        soft_time_limit=settings.task_soft_time_limit,
        time_limit=settings.task_time_limit,
        max_tasks_per_child=settings.worker_max_tasks_per_child,
        memory_per_child=worker.memory_per_child,
        database_connections=worker.database_connections,
        grace=worker.grace,
    )
