"""Every check, a file a subject."""

from typing import Final

from ..base import Check
from .backups import Backups
from .beat import Beat
from .clock import Clock
from .disk import Disk
from .limits import Connections, Programs, Registered
from .queues import QueueAge
from .redis import Policy, Shared, Visibility
from .results import Backlog, Failures
from .runs import Runs
from .schedules import Drift, Late
from .services import Broker, Cache, Database, Migrations
from .workers import Queues, RoundTrip, Workers

KINDS: Final[tuple[type[Check], ...]] = (
    Backlog,
    Backups,
    Beat,
    Broker,
    Cache,
    Clock,
    Connections,
    Database,
    Disk,
    Drift,
    Failures,
    Late,
    Migrations,
    Policy,
    Programs,
    QueueAge,
    Queues,
    Registered,
    RoundTrip,
    Runs,
    Shared,
    Visibility,
    Workers,
)
"""All of them."""

__all__ = [
    "KINDS",
    "Backlog",
    "Backups",
    "Beat",
    "Broker",
    "Cache",
    "Clock",
    "Connections",
    "Database",
    "Disk",
    "Drift",
    "Failures",
    "Late",
    "Migrations",
    "Policy",
    "Programs",
    "QueueAge",
    "Queues",
    "Registered",
    "RoundTrip",
    "Runs",
    "Shared",
    "Visibility",
    "Workers",
]
