"""Caches: clearing them without eating the queue."""

import os.path
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from celery import Celery
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache, default_key_func
from django.core.cache.backends.redis import RedisCache

from .errors import ConfigurationError, MaintenanceError, Unavailable

_DEFAULT_PORTS: Final = {"redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379, "sentinel": 26379}
_SOCKETS: Final = {"unix", "redis+socket", "valkey+socket"}
_THIS_HOST: Final = {"", "localhost", "::1", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
_KEYS_AT_A_TIME: Final = 1000


class UnknownCache(ConfigurationError):
    """There is no cache {alias!r} in CACHES."""

    hint = "It has: {known}."


class MalformedUrl(ConfigurationError):
    """The Redis URL {url!r} has no valid port or database number."""

    hint = "Write redis://host:6379/0, and %-encode special characters of the password."


class SharedWithQueue(MaintenanceError):
    """Cache {alias!r} shares the Redis database {place} with {tenant}: clearing it would delete that too. \
Nothing was cleared."""

    exit_code = 4
    hint = "Give the cache a database of its own, or set its KEY_PREFIX and pass --by-prefix."


class NoPrefixOfItsOwn(MaintenanceError):
    """Cache {alias!r} shares the Redis database {place} with {tenant} and cannot be cleared by prefix: {reason}. \
Nothing was cleared."""

    exit_code = 4
    hint = "Give the cache a database of its own."


class CacheUnavailable(Unavailable):
    """Cache {alias!r} cannot be cleared: {reason}."""

    hint = "Start its server, or check CACHES[{alias!r}]."


class Place(NamedTuple):
    """A Redis database: the server (host:port, or socket path) and the number."""

    server: str
    database: int

    def __str__(self) -> str:
        return f"{self.server}/{self.database}"


@dataclass(frozen=True)
class Step:
    """A cache to clear: wholly, or (with ``prefix``) key by key. ``keys`` is known once it is cleared by prefix."""

    alias: str
    backend: str
    prefix: str | None = None
    keys: int | None = None


def tenants(app: Celery) -> dict[str, object]:
    """Return whose data a cache must not be cleared with: the URLs of ``app``'s broker and result backend."""
    conf = app.conf
    return {
        "the broker": [*_urls(conf.broker_read_url), *_urls(conf.broker_write_url), *_urls(conf.broker_url)],
        "the result backend": conf.result_backend,
    }


def plan(
    *,
    aliases: Sequence[str],
    configured: Mapping[str, Mapping[str, Any]],
    tenants: Mapping[str, object],
    by_prefix: bool = False,
) -> tuple[Step, ...]:
    """Return how each of ``aliases`` is cleared. ``configured`` is CACHES, ``tenants`` whose databases are taboo.

    A cache that shares a tenant's Redis database is refused; with ``by_prefix`` it is cleared by its KEY_PREFIX.
    Raises UnknownCache, SharedWithQueue, NoPrefixOfItsOwn.
    """
    taboo = {place: tenant for tenant, url in tenants.items() for place in places(_urls(url))}
    return tuple(_step(alias, configured, taboo, by_prefix=by_prefix) for alias in dict.fromkeys(aliases))


def clear(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Clear the caches of a plan and return its steps with the number of keys, where known. Raises CacheUnavailable."""
    return tuple(_clear(step) for step in steps)


def places(urls: Iterable[str], *, database: object = None) -> frozenset[Place]:
    """Return the Redis databases that ``urls`` name, in one spelling; other URLs name none.

    ``database`` is the number where a URL says none. Raises MalformedUrl.
    """
    return frozenset(place for url in urls if (place := _place(url.strip(), database)) is not None)


def _place(url: str, database: object) -> Place | None:
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme not in _DEFAULT_PORTS and scheme not in _SOCKETS:
        return None
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        said = (query.get("db") or query.get("virtual_host") or [""])[0].strip("/")
        if scheme in _SOCKETS:
            return Place(os.path.realpath(unquote(parts.path)), int(said or str(database or 0)))
        host = (parts.hostname or "").rstrip(".")
        host = "127.0.0.1" if host in _THIS_HOST else host
        number = said or unquote(parts.path).strip("/") or str(database or 0)
        return Place(f"{host}:{parts.port or _DEFAULT_PORTS[scheme]}", int(number))
    except ValueError as error:
        # Not the error's own words: a password with a slash in it ends up in the "port" that they quote.
        raise MalformedUrl(url=re.sub("//.*@", "//**@", url)) from error


def _urls(url: object) -> list[str]:
    if isinstance(url, list | tuple | set | frozenset):
        return [each for one in url for each in _urls(one)]
    return url.split(";") if isinstance(url, str) else []


def _step(
    alias: str, configured: Mapping[str, Mapping[str, Any]], taboo: Mapping[Place, str], *, by_prefix: bool
) -> Step:
    if alias not in configured:
        raise UnknownCache(alias=alias, known=", ".join(repr(known) for known in sorted(configured)))
    cache, options = caches[alias], configured[alias].get("OPTIONS") or {}
    location = configured[alias].get("LOCATION")
    urls = re.split("[;,]", location) if isinstance(location, str) else _urls(location)
    step = Step(alias, type(cache).__name__)
    for place in sorted(places(urls, database=options.get("db", options.get("DB")))):
        if place in taboo:
            facts = {"alias": alias, "place": place, "tenant": taboo[place]}
            if not by_prefix or not cache.key_prefix:
                raise SharedWithQueue(**facts)
            if reason := _no_prefix(cache):
                raise NoPrefixOfItsOwn(**facts, reason=reason)
            return Step(alias, step.backend, prefix=cache.key_prefix)
    return step


def _no_prefix(cache: BaseCache) -> str:
    if not isinstance(cache, RedisCache):
        return f"{type(cache).__name__} is not Django's own RedisCache"
    return "" if cache.key_func is default_key_func else "its KEY_FUNCTION hides the prefix"


def _clear(step: Step) -> Step:
    cache = caches[step.alias]
    try:
        if step.prefix is None:
            cache.clear()
            return step
        return Step(step.alias, step.backend, step.prefix, keys=_unlink(cache, step.prefix))
    except (redis.RedisError, OSError) as error:
        raise CacheUnavailable(alias=step.alias, reason=str(error).rstrip(".") or type(error).__name__) from error


def _unlink(cache: Any, prefix: str) -> int:
    client = cache._cache.get_client(None, write=True)
    # Django's keys are "prefix:version:key" and always strings. Queues are lists, hashes and sets: whatever a queue's
    # name is, TYPE leaves it alone; and the version's digit leaves alone a cache whose prefix is "prefix:other".
    pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", prefix) + ":[0-9]*:*"
    keys = client.scan_iter(match=pattern, count=_KEYS_AT_A_TIME, _type="string")
    return sum(client.unlink(*some) for some in _by(_KEYS_AT_A_TIME, keys))


def _by(size: int, keys: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(keys, size)):
        yield some
