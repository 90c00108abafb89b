"""The services that everything needs: databases with their migrations, caches, the broker."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import redis
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor

from ... import broker
from ...project import masked
from ..asking import first_line
from ..base import FAILED, Check, CouldNotAsk, Figure, OfApp
from ..memory import Memory

# Seconds for which applied migrations are taken for applied: reading them all takes longer than a probe should.
_STAYS_MIGRATED: Final = 60.0
_migrated: Memory[str] = Memory(_STAYS_MIGRATED)


@dataclass(repr=False)
class Database(Check):
    """A database answers a query."""

    alias: str = DEFAULT_DB_ALIAS
    id: ClassVar[str] = "database"
    title: ClassVar[str] = "database"
    consequence: ClassVar[str] = "The web, beat and every task that stores something fail."
    cure: ClassVar[str] = "Start it, or correct DATABASES (DATABASE_URL)."
    hanging: ClassVar[str] = FAILED

    @property
    def label(self) -> str:
        return "" if self.alias == DEFAULT_DB_ALIAS else self.alias

    def ask(self) -> Iterator[str | Figure]:
        started = time.monotonic()
        try:
            with connections[self.alias].cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error as error:
            raise self.failed(first_line(error)) from error
        yield f"{connections[self.alias].display_name} answers."
        yield Figure("database_answer_seconds", time.monotonic() - started, {"database": self.alias})


@dataclass(repr=False)
class Migrations(Check):
    """Every migration is applied to the default database."""

    id: ClassVar[str] = "migrations"
    title: ClassVar[str] = "migrations"
    needs: ClassVar[tuple[str, ...]] = ("database",)
    consequence: ClassVar[str] = "Whatever uses the missing tables or columns fails."
    cure: ClassVar[str] = "Run `manage.py migrate`."

    def ask(self) -> Iterator[str | Figure]:
        try:
            yield _migrated.recall(DEFAULT_DB_ALIAS, self._look)
        except Error as error:
            raise CouldNotAsk(f"The database cannot tell: {first_line(error)}") from error

    def _look(self) -> str:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise self.failed(f"Not applied: {', '.join(names[:3])}{more}.")
        return "All are applied."


@dataclass(repr=False)
class Cache(Check):
    """A cache gives back what it was given."""

    alias: str = "default"
    id: ClassVar[str] = "cache"
    title: ClassVar[str] = "cache"
    consequence: ClassVar[str] = "Pages are slow or fail, and sessions kept there are lost."
    cure: ClassVar[str] = "Start it, or correct CACHES (CACHE_URL)."
    hanging: ClassVar[str] = FAILED

    @property
    def label(self) -> str:
        return "" if self.alias == "default" else self.alias

    def ask(self) -> Iterator[str | Figure]:
        cache, key, value = caches[self.alias], f"maintenance.health.{secrets.token_hex(8)}", secrets.token_hex(8)
        if isinstance(cache, DummyCache):
            yield "It keeps nothing, as configured (DummyCache)."
            return
        try:
            cache.set(key, value, timeout=30)
            found = cache.get(key)
            cache.delete(key)
        except (OSError, ValueError, Error, redis.RedisError) as error:
            raise self.failed(first_line(error)) from error
        if found != value:
            raise self.failed("It does not give back what it was given.")
        yield "It gives back what it was given."


@dataclass(repr=False)
class Broker(OfApp):
    """The broker accepts a connection."""

    id: ClassVar[str] = "broker"
    title: ClassVar[str] = "broker"
    consequence: ClassVar[str] = "No task can be sent or done."
    cure: ClassVar[str] = (
        "Start it (`manage.py run_broker` for the embedded one), or set CELERY_BROKER_URL or REDIS_URL."
    )
    hanging: ClassVar[str] = FAILED

    def ask(self) -> Iterator[str | Figure]:
        url = masked(self.app.conf.broker_read_url or self.app.conf.broker_url)
        reason = broker.unreachable(self.app)
        if reason is not None:
            raise self.failed(f"{url} does not answer: {reason}.")
        yield f"{url} answers."
