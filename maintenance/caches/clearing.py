"""Clearing caches, counting what they hold, and culling what expired: whatever each backend can."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import redis
from django.core.cache import caches
from django.db import DatabaseError

from .. import units
from ..errors import Unavailable
from . import keys, stores
from .steps import Step, known


class CacheUnavailable(Unavailable):
    """Cache {alias!r} cannot be cleared: {reason}."""

    hint = "Start its server, or check CACHES[{alias!r}]."


class CacheTableUnusable(Unavailable):
    """The table of cache {alias!r} cannot be used: {reason}."""

    hint = "Start its database, or run `manage.py createcachetable`."


@dataclass(frozen=True)
class Culled:
    """What of a cache had expired: ``deleted`` is None where nothing is to be done from here, ``note`` tells why."""

    alias: str
    backend: str
    deleted: int | None
    note: str = ""


def clear(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Clear the caches of a plan and return its steps with the number of entries that went, where known.

    Raises CacheUnavailable, CacheTableUnusable.
    """
    return tuple(_clear(step) for step in steps)


def count(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps of a plan with the number of entries that would go, where known. Raises as ``clear``."""
    return tuple(_count(step) for step in steps)


def cull(
    aliases: Iterable[str], *, configured: Mapping[str, Any], now: datetime, dry_run: bool = False
) -> tuple[Culled, ...]:
    """Remove the expired entries of database and file caches; others do that by themselves.

    Raises UnknownCache, CacheUnavailable, CacheTableUnusable.
    """
    return tuple(_cull(alias, now, dry_run=dry_run) for alias in known(list(aliases), configured))


def _clear(step: Step) -> Step:
    store: Any = caches[step.alias]
    done = 0
    with _trouble(step.alias, store, lambda: done):
        if step.prefix is None:
            held = stores.held(store)
            stores.empty(store)
            return replace(step, keys=held)
        for some in keys.unlink(_client(store), _keys(step)):
            done += some
    return replace(step, keys=done)


def _count(step: Step) -> Step:
    store: Any = caches[step.alias]
    with _trouble(step.alias, store):
        if step.prefix is None:
            return replace(step, keys=stores.held(store))
        return replace(step, keys=sum(map(len, keys.found(_client(store), _keys(step)))))


def _cull(alias: str, now: datetime, *, dry_run: bool) -> Culled:
    store: Any = caches[alias]
    backend = type(store).__name__
    note = stores.keeps_nothing_expired(store)
    if note:
        return Culled(alias, backend, None, note)
    done = 0
    with _trouble(alias, store, lambda: done):
        if dry_run:
            return Culled(alias, backend, stores.expired(store, now))
        for some in stores.cull(store, now):
            done += some
    return Culled(alias, backend, done)


def _client(store: Any) -> Any:
    return store._cache.get_client(None, write=True)


def _keys(step: Step) -> keys.Keys:
    return keys.of(step.prefix or "", pattern=step.pattern, spared=step.spared)


@contextmanager
def _trouble(alias: str, store: Any, done: Callable[[], int] = lambda: 0) -> Iterator[None]:
    unreachable: tuple[type[Exception], ...] = (redis.RedisError, OSError, *stores.failures(store))
    try:
        yield
    except DatabaseError as error:
        raise CacheTableUnusable(alias=alias, reason=_reason(error, done())) from error
    except unreachable as error:
        raise CacheUnavailable(alias=alias, reason=_reason(error, done())) from error


def _reason(error: Exception, done: int) -> str:
    words = str(error).strip().rstrip(".") or type(error).__name__
    return f"{words} ({units.counted(done, 'entry', 'entries')} went before; run it again)" if done else words
