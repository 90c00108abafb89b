"""The stack that background work needs: broker, databases, migrations, caches, a worker, and the way through it."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from celery import Celery
from celery.backends.base import DisabledBackend
from celery.exceptions import TimeoutError as NoResult
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from .. import broker
from ..project import masked
from .runner import Check, CouldNotAsk, Unhealthy


@dataclass(frozen=True)
class Broker(Check):
    """The broker accepts a connection."""

    app: Celery = field(repr=False)
    name: ClassVar[str] = "broker"
    consequence: ClassVar[str] = "No task can be sent or done."
    cure: ClassVar[str] = (
        "Start it (`manage.py run_broker` for the embedded one), or set CELERY_BROKER_URL or REDIS_URL."
    )

    def run(self) -> str:
        url = masked(self.app.conf.broker_read_url or self.app.conf.broker_url)
        reason = broker.unreachable(self.app)
        if reason is not None:
            raise Unhealthy(problem=f"{url} does not answer: {reason}.")
        return f"{url} answers."


@dataclass(frozen=True)
class Database(Check):
    """A database answers a query."""

    alias: str
    consequence: ClassVar[str] = "The web, beat and every task that stores something fail."
    cure: ClassVar[str] = "Start it, or correct DATABASES (DATABASE_URL)."

    @property
    def name(self) -> str:
        return _named("database", self.alias, DEFAULT_DB_ALIAS)

    def run(self) -> str:
        with connections[self.alias].cursor() as cursor:
            cursor.execute("SELECT 1")
        return f"{connections[self.alias].display_name} answers."


@dataclass(frozen=True)
class Migrations(Check):
    """Every migration is applied to the default database."""

    name: ClassVar[str] = "migrations"
    needs: ClassVar[tuple[str, ...]] = ("database",)
    consequence: ClassVar[str] = "Whatever uses the missing tables or columns fails."
    cure: ClassVar[str] = "Run `manage.py migrate`."

    def run(self) -> str:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise Unhealthy(problem=f"Not applied: {', '.join(names[:3])}{more}.")
        return "All are applied."


@dataclass(frozen=True)
class Cache(Check):
    """A cache gives back what it was given."""

    alias: str
    consequence: ClassVar[str] = "Pages are slow or fail, and sessions kept there are lost."
    cure: ClassVar[str] = "Start it, or correct CACHES (CACHE_URL)."

    @property
    def name(self) -> str:
        return _named("cache", self.alias, "default")

    def run(self) -> str:
        cache, key, value = caches[self.alias], f"maintenance.doctor.{secrets.token_hex(8)}", secrets.token_hex(8)
        if isinstance(cache, DummyCache):
            return "It keeps nothing, as configured (DummyCache)."
        cache.set(key, value, timeout=30)
        found = cache.get(key)
        cache.delete(key)
        if found != value:
            raise Unhealthy(problem="It does not give back what it was given.")
        return "It gives back what it was given."


@dataclass(frozen=True)
class Worker(Check):
    """At least one worker answers a ping. A solo worker that is busy does not."""

    app: Celery = field(repr=False)
    wait: float
    name: ClassVar[str] = "worker"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    consequence: ClassVar[str] = "Tasks wait in their queues."
    cure: ClassVar[str] = "Start one: `manage.py run_worker`."

    @property
    def patience(self) -> float:
        return self.wait + 2

    def run(self) -> str:
        deadline = time.monotonic() + self.wait
        names = self._answering(timeout=self.wait, limit=1)
        while not names and time.monotonic() < deadline:
            names = self._answering(timeout=min(1.0, max(0.1, deadline - time.monotonic())))
        if not names:
            raise Unhealthy(problem=f"None answers within {self.wait:g}s.")
        return f"{', '.join(names)} answers."

    def _answering(self, **options: Any) -> list[str]:
        """Return the workers that answer a ping. A beat under remote control answers too, and is none."""
        replies = self.app.control.ping(**options)
        return sorted(name for reply in replies or () for name in reply if not name.startswith("celerybeat@"))


@dataclass(frozen=True)
class RoundTrip(Check):
    """The project's debug task goes to a worker, and its result comes back."""

    app: Celery = field(repr=False)
    wait: float
    name: ClassVar[str] = "round trip"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    consequence: ClassVar[str] = "Tasks are not done, or their results are lost."
    cure: ClassVar[str] = "See that a worker consumes the task's queue and uses the same broker, database and settings."

    @property
    def patience(self) -> float:
        return self.wait + 2

    def run(self) -> str:
        names = sorted(name for name in self.app.tasks if name.endswith(".debug_task"))
        if not names:
            raise CouldNotAsk(reason="Could not ask: the project has no debug_task, as Celery's guide has.")
        if isinstance(self.app.backend, DisabledBackend):
            raise CouldNotAsk(reason="Could not ask: there is no result backend (CELERY_RESULT_BACKEND).")
        started = time.monotonic()
        # It expires, so that nothing of it is done later; results are asked for even where the task ignores them.
        sent = self.app.tasks[names[0]].apply_async(expires=self.wait, ignore_result=False, retry=False)
        try:
            sent.get(timeout=self.wait, interval=0.1)
        except NoResult as error:
            raise Unhealthy(problem=f"{names[0]} was not done within {self.wait:g}s.") from error
        finally:
            sent.forget()
        return f"{names[0]} was done in {time.monotonic() - started:.1f}s."


def checks(app: Celery, *, databases: Iterable[str], caches: Iterable[str], wait: float) -> list[Check]:
    """Return every check of the stack; ``wait`` is how many seconds a worker has to answer."""
    return [
        Broker(app),
        *(Database(alias) for alias in databases),
        Migrations(),
        *(Cache(alias) for alias in caches),
        Worker(app, wait),
        RoundTrip(app, wait),
    ]


def _named(what: str, alias: str, default: str) -> str:
    return what if alias == default else f"{what} {alias}"
