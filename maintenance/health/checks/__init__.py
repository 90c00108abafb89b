"""Every check, a file a subject."""

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

__all__ = [
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
