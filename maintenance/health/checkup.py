"""Which checks a project needs: those of what it has."""

from collections.abc import Iterable

from celery import Celery

from .base import Check
from .checks import Broker, Cache, Database, Migrations, Queues, RoundTrip, Workers


def checks(
    app: Celery, *, databases: Iterable[str], caches: Iterable[str], wait: float, round_trip: bool = False
) -> list[Check]:
    """Return every check; ``wait`` is how many seconds workers have to answer."""
    return [
        Broker(app),
        *(Database(alias) for alias in databases),
        Migrations(),
        *(Cache(alias) for alias in caches),
        Workers(app, wait),
        Queues(app, wait),
        *([RoundTrip(app, wait)] if round_trip else []),
    ]
