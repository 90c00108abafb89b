"""How each cache is cleared: wholly, or key by key where it shares its Redis database; or refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache, default_key_func
from django.core.cache.backends.redis import RedisCache

from .. import units
from ..errors import ConfigurationError, MaintenanceError
from . import places
from .neighbours import Resident, cache_run_id
from .places import MalformedUrl, Place

__all__ = ["MalformedUrl", "NoKeys", "Shared", "Step", "UnknownCache", "plan"]


class UnknownCache(ConfigurationError):
    """There is no cache {alias!r} in CACHES."""

    hint = "It has: {known}."


class Shared(MaintenanceError):
    """Cache {alias!r} shares {where} with {others}: clearing it would delete that too. Nothing was cleared."""

    exit_code = 4
    hint = "{ways}"


class NoKeys(ConfigurationError):
    """Keys of cache {alias!r} cannot be chosen: {reason}. Nothing was cleared."""

    hint = "Leave --prefix and --pattern out for it."


@dataclass(frozen=True)
class Step:
    """A cache to clear: wholly, or only keys of ``prefix`` that match ``pattern`` and do not begin with ``spared``.

    ``also`` are the caches and ``shared`` the residents that go with it, ``keys`` how many entries went (None: it
    does not tell).
    """

    alias: str
    backend: str
    prefix: str | None = None
    pattern: str | None = None
    spared: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    keys: int | None = None


def plan(
    *,
    aliases: Sequence[str],
    configured: Mapping[str, Mapping[str, Any]],
    residents: Sequence[Resident] = (),
    prefix: str | None = None,
    pattern: str | None = None,
    force: bool = False,
    keys_where_shared: bool = False,
) -> tuple[Step, ...]:
    """Return how each of ``aliases`` is cleared. ``configured`` is CACHES.

    With ``prefix`` ("" is the cache's own KEY_PREFIX) or ``pattern`` only such keys are, and none of a resident's. A
    cache that shares with a resident is refused; not with ``force``, and ``keys_where_shared`` clears its own keys.
    Raises UnknownCache, Shared, NoKeys, MalformedUrl.
    """
    wanted = Step("", "", prefix, pattern, () if force else tuple(head for each in residents for head in each.heads))
    return tuple(
        _step(alias, configured, residents, wanted, force=force, keys_where_shared=keys_where_shared)
        for alias in known(aliases, configured)
    )


def known(aliases: Iterable[str], configured: Mapping[str, Any]) -> tuple[str, ...]:
    """Return each alias once. Raises UnknownCache."""
    for alias in aliases:
        if alias not in configured:
            raise UnknownCache(alias=alias, known=", ".join(repr(name) for name in sorted(configured)))
    return tuple(dict.fromkeys(aliases))


def _step(
    alias: str,
    configured: Mapping[str, Mapping[str, Any]],
    residents: Sequence[Resident],
    wanted: Step,
    *,
    force: bool,
    keys_where_shared: bool,
) -> Step:
    store: Any = caches[alias]
    reason, backend = _no_keys(store), type(store).__name__
    by_keys = replace(wanted, alias=alias, backend=backend, prefix=wanted.prefix or store.key_prefix)
    if wanted.prefix is not None or wanted.pattern is not None:
        if reason:
            raise NoKeys(alias=alias, reason=reason)
        return by_keys
    shared = _neighbours(alias, configured, residents)
    if shared and not force:
        if keys_where_shared and not reason:
            return by_keys
        raise _shared(alias, shared, store.key_prefix, reason)
    names = tuple(_named(resident) for resident, _ in shared)
    return Step(alias, backend, also=_together(alias, configured), shared=names)


def _neighbours(
    alias: str, configured: Mapping[str, Mapping[str, Any]], residents: Iterable[Resident]
) -> list[tuple[Resident, Place | None]]:
    """Return the residents that clearing a cache wholly would hit, each with the Redis database where they meet."""
    mine = places.cache_places(configured[alias])
    ask = cache(lambda: cache_run_id(alias, configured[alias]))
    met = []
    for resident in residents:
        common = mine & resident.places or {
            here
            for here in mine
            if any(here.database == there.database for there in resident.places)
            and ask() is not None
            and ask() == resident.run_id()
        }
        if common or resident.alias == alias:
            met.append((resident, min(common, default=None)))
    return met


def _shared(alias: str, shared: list[tuple[Resident, Place | None]], prefix: str, reason: str) -> Shared:
    place = next((place for _, place in shared if place), None)
    where = f"the Redis database {place}" if place else "its entries"
    others = " and ".join(_named(resident) for resident, _ in shared)
    ways = "pass --force-shared to delete everything in there"
    if reason:
        ways = f"Give it a store of its own, or {ways}."
    else:
        keys = f"with its prefix {prefix!r}" if prefix else "(it has no KEY_PREFIX)"
        ways = f"Pass --prefix to delete only its own keys {keys}, or {ways}."
    return Shared(alias=alias, where=where, others=others, ways=ways)


def _named(resident: Resident) -> str:
    messages = resident.queued()
    return resident.name if messages is None else f"{resident.name} ({units.counted(messages, 'queued message')})"


def _together(alias: str, configured: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the other caches in the same Redis database, by their settings."""
    mine = places.cache_places(configured[alias])
    return tuple(other for other, entry in configured.items() if other != alias and mine & places.cache_places(entry))


def _no_keys(store: BaseCache) -> str:
    if not isinstance(store, RedisCache):
        return f"{type(store).__name__} is not Django's own RedisCache"
    return "" if store.key_func is default_key_func else "its KEY_FUNCTION hides the prefix"
