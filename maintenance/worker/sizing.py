"""How large a worker may be: its memory, its concurrency, and which limit binds."""

from maintenance.conf import Profile
from maintenance.errors import ConfigurationError
from maintenance.units import human_size, whole

from .facts import Asked, Machine, Project, first

GREEN = ("eventlet", "gevent")
# Tasks on these pools wait for the network rather than compute.
THREADS_PER_CPU = 4
GREENLETS = 100


class BadConcurrency(ConfigurationError):
    """Concurrency {value!r} is not a whole number from 1 up."""

    hint = "Pass -c auto, or a number such as -c 4."


def memory_limit(flag: int | None, of_profile: int | None, machine: Machine) -> tuple[int | None, str]:
    """Return the memory of the whole worker in bytes (None: not limited) and where that comes from."""
    sources = ((flag, "--max-memory"), (of_profile, "the profile"), (machine.memory_limit, "the cgroup"))
    size, source = first(*sources)
    return size, source or "no limit found"


def concurrency(
    pool: str, asked: Asked, profile: Profile, memory: int | None, machine: Machine, project: Project
) -> tuple[int, str]:
    """Return how many tasks run at a time, and why. Raises BadConcurrency."""
    if pool == "solo":
        return 1, "solo runs one task at a time"
    value, source = first(
        (asked.concurrency, "asked for by -c"),
        (profile.concurrency, "asked for by the profile"),
        (project.concurrency, "CELERY_WORKER_CONCURRENCY"),
    )
    if value is None or str(value).lower() == "auto":
        return _automatic(pool, memory, machine, project)
    try:
        return whole(str(value)), source
    except ValueError as error:
        raise BadConcurrency(value=value) from error


def _automatic(pool: str, memory: int | None, machine: Machine, project: Project) -> tuple[int, str]:
    limits: list[tuple[int, str]] = []
    if pool in GREEN:
        limits.append((GREENLETS, f"{pool}: tasks wait rather than compute"))
    elif pool == "threads":
        count = machine.cpus * THREADS_PER_CPU
        limits.append((count, f"threads: {THREADS_PER_CPU} a CPU, {machine.cpu_reason}"))
    else:
        limits.append((machine.cpus, machine.cpu_reason))
    if memory is not None and pool == "prefork":
        fits = max(1, (memory - project.memory_per_child) // project.memory_per_child)
        text = f"memory {human_size(memory)}, {human_size(project.memory_per_child)} for the parent and each child"
        limits.append((fits, text))
    if project.database_connections is not None:
        limits.append((project.database_connections, f"{project.database_connections} database connections"))
    binding = min(limits, key=lambda limit: limit[0])
    others = "; ".join(f"{text} would allow {count}" for count, text in limits if (count, text) != binding)
    return max(1, binding[0]), f"{binding[1]} (the smallest limit{': ' + others if others else ''})"


def memory_per_child(
    pool: str, memory: int | None, source: str, children: int, project: Project
) -> tuple[int | None, str]:
    """Return the size in KiB at which a child is replaced (None: never), and why."""
    if memory is None:
        return None, source
    if pool != "prefork":
        return None, f"the pool {pool} has no children to replace"
    share = max(memory - project.memory_per_child, memory // 2) // children
    return share // 1024, f"{human_size(memory)} ({source}) less the parent, shared by {children}"
