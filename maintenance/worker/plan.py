"""The worker plan: what to start and why. Pure: everything it knows is passed in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from maintenance.conf import Profile
from maintenance.errors import ConfigurationError
from maintenance.heartbeat import VARIABLE
from maintenance.units import human_duration, human_size

from . import sizing
from .facts import Asked, Machine, Project, first

POOLS = ("prefork", "threads", "solo", "eventlet", "gevent")
RUNTIME = "maintenance.worker.runtime"
DEFAULT_GRACE = timedelta(seconds=30)


class UnknownPool(ConfigurationError):
    """{pool!r} is not a pool."""

    hint = "Choose one of auto, prefork, threads, solo, eventlet, gevent."


class PoolNotInstalled(ConfigurationError):
    """The pool {pool!r} cannot be used: {reason}."""

    hint = "Run `pip install {pool}`, or choose another --pool."


class PoolNotOnWindows(ConfigurationError):
    """The pool 'prefork' does not work on Windows."""

    hint = "Use --pool auto, threads, eventlet or solo."


class QueueNotDeclared(ConfigurationError):
    """Queue {queue!r} is not declared."""

    hint = "Declared: {declared}. Correct the name, or add the queue to CELERY_TASK_QUEUES."


class UnknownProfile(ConfigurationError):
    """Profile {profile!r} is not declared."""

    hint = 'Declared: {declared}. Add it to MAINTENANCE["WORKER"]["PROFILES"].'


@dataclass(frozen=True)
class WorkerPlan:
    """A worker about to be started: every value and, under the same name in ``reasons``, why."""

    pool: str
    concurrency: int
    queues: tuple[str, ...]
    grace_seconds: float
    window_seconds: float
    max_memory_per_child_kib: int | None
    argv: tuple[str, ...]
    env: Mapping[str, str]
    reasons: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def plan(asked: Asked, *, machine: Machine, project: Project, profile: Profile | None = None) -> WorkerPlan:
    """Return the plan: a flag wins over the profile, the profile over the settings, the settings over detection.

    Raises UnknownPool, PoolNotInstalled, PoolNotOnWindows, BadConcurrency and QueueNotDeclared.
    """
    profile = profile or Profile()
    pool, pool_reason = _pool(asked.pool, profile.pool, machine, project)
    memory, memory_reason = sizing.memory_limit(asked.max_memory, profile.max_memory, machine)
    concurrency, concurrency_reason = sizing.concurrency(pool, asked, profile, memory, machine, project)
    queues, queues_reason = _queues(asked.queues, profile.queues, project)
    grace, grace_reason = _grace(asked.grace, profile.grace, machine, project)
    window = max(1.0, grace - 5) if grace >= 10 else grace / 2
    per_child, per_child_reason = sizing.memory_per_child(pool, memory, memory_reason, concurrency, project)
    return WorkerPlan(
        pool=pool,
        concurrency=concurrency,
        queues=queues,
        grace_seconds=grace,
        window_seconds=window,
        max_memory_per_child_kib=per_child,
        argv=_argv(
            python=machine.python,
            app=project.app,
            pool=pool,
            concurrency=concurrency,
            queues=queues if queues != project.queues else (),
            hostname=asked.hostname or profile.hostname,
            loglevel=asked.loglevel or "INFO",
            per_child=per_child,
            spawn=pool == "prefork" and machine.platform == "darwin",
            window=window,
            extra=asked.celery_args,
        ),
        env=_environment(pool, window, asked, machine),
        reasons={
            "pool": pool_reason,
            "concurrency": concurrency_reason,
            "queues": queues_reason,
            "grace_seconds": grace_reason,
            "max_memory_per_child_kib": per_child_reason,
        },
        warnings=_warnings(pool, asked, memory, project),
    )


def without_mingle(plan: WorkerPlan) -> WorkerPlan:
    """Return the plan of a worker that is alone on its broker: asking the others for their revokes takes a second."""
    return replace(plan, argv=(*plan.argv, "--without-mingle"))


def profile_named(name: str | None, profiles: Mapping[str, Profile]) -> Profile:
    """Return the profile of that name (an empty one for None). Raises UnknownProfile."""
    if name is None:
        return Profile()
    if name not in profiles:
        raise UnknownProfile(profile=name, declared=", ".join(profiles) or "none")
    return profiles[name]


def _pool(flag: str | None, of_profile: str | None, machine: Machine, project: Project) -> tuple[str, str]:
    name, source = first((flag, "--pool"), (of_profile, "the profile"), (project.pool, "CELERY_WORKER_POOL"))
    if name and name != "auto":
        return _usable_pool(name, machine), f"asked for by {source}"
    if machine.platform == "linux":
        return "prefork", "Linux: processes use every CPU and honour every limit"
    if machine.platform == "darwin":
        return "prefork", "macOS: processes, started by spawn because fork is unsafe there"
    if machine.platform != "win32":
        return "prefork", f"{machine.platform}: a POSIX system runs processes"
    eventlet = machine.unusable_pools.get("eventlet")
    if eventlet is None:
        return "eventlet", "Windows: prefork does not work there, and eventlet is installed"
    threads = machine.unusable_pools.get("threads")
    if threads is None:
        return "threads", f"Windows: prefork does not work there, eventlet cannot be used ({eventlet})"
    return "solo", f"Windows: prefork does not work there, eventlet ({eventlet}) and threads ({threads}) cannot be used"


def _usable_pool(name: str, machine: Machine) -> str:
    name = "prefork" if name == "processes" else name
    if name not in POOLS:
        raise UnknownPool(pool=name)
    if name == "prefork" and machine.platform == "win32":
        raise PoolNotOnWindows()
    if name in machine.unusable_pools:
        raise PoolNotInstalled(pool=name, reason=machine.unusable_pools[name])
    return name


def _queues(
    flag: tuple[str, ...] | None, of_profile: tuple[str, ...] | None, project: Project
) -> tuple[tuple[str, ...], str]:
    chosen, source = first((flag or None, "-Q"), (of_profile or None, "the profile"))
    if chosen is None:
        return project.queues, "all declared queues"
    unknown = [queue for queue in chosen if queue not in project.queues]
    if unknown and not project.creates_missing_queues:
        raise QueueNotDeclared(queue=unknown[0], declared=", ".join(project.queues))
    return chosen, f"asked for by {source}"


def _grace(
    flag: timedelta | None, of_profile: timedelta | None, machine: Machine, project: Project
) -> tuple[float, str]:
    setting = (project.grace, 'MAINTENANCE["WORKER"]["GRACE"]')
    chosen, source = first((flag, "--grace"), (of_profile, "the profile"), setting)
    if chosen is not None:
        return chosen.total_seconds(), source
    if machine.hosting is not None:
        return machine.hosting.grace.total_seconds(), machine.hosting.reason
    return DEFAULT_GRACE.total_seconds(), "no known host: the usual time between SIGTERM and SIGKILL"


def _environment(pool: str, window: float, asked: Asked, machine: Machine) -> dict[str, str]:
    # billiard reads REMAP_SIGTERM when it is imported, so it must be there before Celery starts. Only prefork
    # survives the cold shutdown that it means: elsewhere a running task would be failed and acknowledged.
    environment = {
        "REMAP_SIGTERM": "SIGQUIT" if pool == "prefork" else "",
        # At its start Celery would run Django's system checks and drop their findings: time and memory for nothing.
        "CELERY_SKIP_CHECKS": "1",
    }
    if machine.run_dir is not None:
        environment[VARIABLE] = machine.run_dir
    if pool != "prefork":
        environment["MAINTENANCE_WORKER_WINDOW"] = f"{window:g}"
    if asked.burst:
        environment["MAINTENANCE_WORKER_BURST"] = f"{asked.max_wait.total_seconds():g}"
    return environment


def _argv(
    *,
    python: str,
    app: str,
    pool: str,
    concurrency: int,
    queues: tuple[str, ...],
    hostname: str | None,
    loglevel: str,
    per_child: int | None,
    spawn: bool,
    window: float,
    extra: tuple[str, ...],
) -> tuple[str, ...]:
    # "processes" is prefork's other name: Celery lets CELERY_WORKER_POOL override a plain "prefork".
    name = "processes" if pool == "prefork" else pool
    argv = [python, "-m", "celery", "-A", app, "worker", "--pool", name, "--concurrency", str(concurrency)]
    argv += ["--loglevel", loglevel, "--include", RUNTIME]
    if queues:
        argv += ["--queues", ",".join(queues)]
    if hostname:
        argv += ["--hostname", hostname]
    if per_child is not None:
        argv += ["--max-memory-per-child", str(per_child)]
    if spawn:
        argv += ["--pool-start-method", "spawn"]
    argv += extra
    if pool == "prefork" and not any(option.startswith("worker_soft_shutdown_timeout=") for option in extra):
        argv.append(f"worker_soft_shutdown_timeout={window:g}")
    return tuple(argv)


def _warnings(pool: str, asked: Asked, memory: int | None, project: Project) -> tuple[str, ...]:
    if pool == "prefork":
        return ()
    ignored = []
    if project.soft_time_limit:
        ignored.append(f"soft time limits ({human_duration(project.soft_time_limit)})")
    if project.time_limit and pool != "gevent":
        ignored.append(f"time limits ({human_duration(project.time_limit)})")
    if project.max_tasks_per_child:
        ignored.append(f"max-tasks-per-child ({project.max_tasks_per_child})")
    if asked.max_memory is not None and memory is not None:
        ignored.append(f"--max-memory ({human_size(memory)})")
    if pool == "solo" and asked.concurrency not in (None, "auto", "1"):
        ignored.append(f"-c {asked.concurrency}")
    return tuple(f"The pool {pool} ignores {text}." for text in ignored)
