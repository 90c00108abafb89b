"""What each of Django's cache backends can do beyond the cache API: how much it holds, emptying it, culling it."""

import pickle
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import singledispatch
from pathlib import Path
from typing import Any, Final

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.cache.backends.redis import RedisCache
from django.db import connections, router

# SQLite takes 999 parameters in a statement.
_ROWS_AT_A_TIME: Final = 500


@singledispatch
def held(store: BaseCache) -> int | None:
    """Return how many entries a cache holds, expired ones too; None where it does not tell."""
    return None


@held.register
def _(store: RedisCache) -> int | None:
    return int(_of(store)._cache.get_client(None, write=True).dbsize())


@held.register
def _(store: DatabaseCache) -> int | None:
    return int(_Table(store).ask("SELECT COUNT(*) FROM {table}"))


@held.register
def _(store: FileBasedCache) -> int | None:
    return len(_of(store)._list_cache_files())


@held.register
def _(store: LocMemCache) -> int | None:
    return len(_of(store)._cache)


@singledispatch
def empty(store: BaseCache) -> None:
    """Delete everything, other people's entries in the same store too."""
    store.clear()


@empty.register
def _(store: RedisCache) -> None:
    if type(store).clear is not RedisCache.clear:
        store.clear()
        return
    # Django's FLUSHDB frees the memory before it answers, which stops the server for seconds at millions of keys.
    _of(store)._cache.get_client(None, write=True).flushdb(asynchronous=True)


def table_names(configured: Mapping[str, Any]) -> list[str]:
    """Return the tables of the database caches among those of CACHES."""
    stores = (caches[alias] for alias in configured)
    return [_of(store)._table for store in stores if isinstance(store, DatabaseCache)]


def failures(store: BaseCache) -> tuple[type[Exception], ...]:
    """Return what the client library of a memcached cache raises beside OSError: each has an error of its own."""
    library = getattr(store, "_lib", None) if isinstance(store, BaseMemcachedCache) else None
    found = (getattr(library, name, None) for name in ("MemcacheError", "Error"))  # pymemcache, pylibmc
    return tuple(each for each in found if each is not None)


def keeps_nothing_expired(store: BaseCache) -> str:
    """Return why nothing expired is to be removed from a cache, or an empty string."""
    if isinstance(store, RedisCache | BaseMemcachedCache):
        return "its server removes them by itself"
    if isinstance(store, LocMemCache):
        return "each process holds its own and culls it by itself"
    if isinstance(store, DummyCache):
        return "it keeps nothing"
    return "" if isinstance(store, DatabaseCache | FileBasedCache) else "its class has no way to do that"


def expired(store: BaseCache, now: datetime) -> int:
    """Return how many entries of a database or file cache have expired."""
    if isinstance(store, DatabaseCache):
        table = _Table(store)
        return int(table.ask("SELECT COUNT(*) FROM {table} WHERE {expires} < %s", table.moment(now)))
    return sum(_is_over(path, now) for path in _files(store))


def cull(store: BaseCache, now: datetime) -> Iterator[int]:
    """Remove the expired entries of a database or file cache in short steps; yield how many went each time."""
    if isinstance(store, DatabaseCache):
        yield from _Table(store).cull(now)
        return
    for path in _files(store):
        if _is_over(path, now):
            path.unlink(missing_ok=True)
            yield 1


def _files(store: BaseCache) -> Iterator[Path]:
    return map(Path, _of(store)._list_cache_files())


def _is_over(path: Path, now: datetime) -> bool:
    """Return whether a cache file begins with a time that is over. A damaged one, which no get() can read, is too."""
    try:
        with path.open("rb") as file:
            expires = pickle.load(file)  # noqa: S301 - Django's own file, which every get() loads so
    except FileNotFoundError:
        return False  # another process was quicker
    except (EOFError, pickle.UnpicklingError):
        return True
    return expires is not None and expires < now.timestamp()


class _Table:
    """A database cache's table, which has no model."""

    def __init__(self, store: DatabaseCache) -> None:
        self.connection = connections[router.db_for_write(_of(store).cache_model_class)]
        quote = self.connection.ops.quote_name
        names = {"table": _of(store)._table, "key": "cache_key", "expires": "expires"}
        self.names = {name: quote(value) for name, value in names.items()}

    def moment(self, now: datetime) -> Any:
        return self.connection.ops.adapt_datetimefield_value(now.replace(microsecond=0))

    def ask(self, statement: str, *values: Any) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(statement.format(**self.names), values)
            return cursor.fetchone()[0]

    def cull(self, now: datetime) -> Iterator[int]:
        """Delete the expired rows, the oldest first, each batch in a transaction of its own."""
        moment, limit = self.moment(now), self.connection.ops.limit_offset_sql(0, _ROWS_AT_A_TIME)
        choose = f"SELECT {{key}} FROM {{table}} WHERE {{expires}} < %s ORDER BY {{expires}} {limit}"  # noqa: S608 - no values
        delete = "DELETE FROM {table} WHERE {expires} < %s AND {key} IN ("
        while True:
            with self.connection.cursor() as cursor:
                cursor.execute(choose.format(**self.names), [moment])
                keys = [key for (key,) in cursor.fetchall()]
                if not keys:
                    return
                marks = ", ".join(["%s"] * len(keys))
                cursor.execute(f"{delete.format(**self.names)}{marks})", [moment, *keys])
                yield cursor.rowcount


def _of(store: BaseCache) -> Any:
    """Return a cache for the sake of its private parts, which the stubs do not know."""
    return store
