"""Every check, a file a subject."""

from .backups import Backups
from .beat import Beat
from .clock import Clock
from .disk import Disk
from .queues import QueueAge
from .redis import Policy, Shared, Visibility
from .results import Backlog, Failures
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
    "Database",
    "Disk",
    "Drift",
    "Failures",
    "Late",
    "Migrations",
    "Policy",
    "QueueAge",
    "Queues",
    "RoundTrip",
    "Shared",
    "Visibility",
    "Workers",
]
