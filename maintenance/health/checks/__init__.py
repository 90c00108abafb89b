"""Every check, a file a subject."""

from .services import Broker, Cache, Database, Migrations
from .workers import Queues, RoundTrip, Workers

__all__ = ["Broker", "Cache", "Database", "Migrations", "Queues", "RoundTrip", "Workers"]
