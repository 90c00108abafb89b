"""The facts that a worker plan is made of: what was asked for, what the machine gives, what the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from maintenance.host import Hosting

Value = TypeVar("Value")


@dataclass(frozen=True)
class Asked:
    """What the operator asked for: run_worker's flags. None means: not given."""

    pool: str | None = None
    concurrency: str | None = None
    queues: tuple[str, ...] | None = None
    hostname: str | None = None
    loglevel: str | None = None
    max_memory: int | None = None
    grace: timedelta | None = None
    burst: bool = False
    max_wait: timedelta = timedelta(0)
    celery_args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """What the machine is and gives. Sizes in bytes."""

    platform: str
    python: str
    cpus: int
    cpu_reason: str
    memory_limit: int | None = None
    hosting: Hosting | None = None
    unusable_pools: Mapping[str, str] = field(default_factory=dict)
    """Pools that cannot be imported here, with the reason."""
    run_dir: str | None = None
    """The folder of heartbeat files."""


@dataclass(frozen=True)
class Project:
    """What the host project's settings say."""

    app: str
    queues: tuple[str, ...]
    creates_missing_queues: bool = True
    pool: str | None = None
    concurrency: int | str | None = None
    soft_time_limit: float | None = None
    time_limit: float | None = None
    max_tasks_per_child: int | None = None
    memory_per_child: int = 150_000_000
    database_connections: int | None = None
    grace: timedelta | None = None


def first(*sources: tuple[Value | None, str]) -> tuple[Value | None, str]:
    """Return the first value that is given (not None) with its source; else None and no source."""
    return next((given for given in sources if given[0] is not None), (None, ""))
