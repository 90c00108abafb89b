"""Whose data a cache must not be cleared with: the broker, results, channel layers and sessions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Final

import redis
from celery import Celery
from kombu.exceptions import KombuError

from . import places
from .places import Place

# How django-celery-results and Celery's other key-value backends name what they keep.
_RESULT_HEADS: Final = ("celery-task-meta-", "celery-taskset-meta-", "chord-unlock-")


def _cannot_tell() -> None:
    return None


@dataclass(frozen=True)
class Resident:
    """Somebody whose data lives in Redis databases, or in a cache under keys that begin with ``heads``."""

    name: str
    places: frozenset[Place] = frozenset()
    alias: str = ""
    heads: tuple[str, ...] = ()
    run_id: Callable[[], str | None] = field(default=_cannot_tell, repr=False, compare=False)
    """Asks its server who it is: one server has many addresses."""
    queued: Callable[[], int | None] = field(default=_cannot_tell, repr=False, compare=False)
    """Asks how many messages wait there."""


def residents(app: Celery, *, settings: Any) -> tuple[Resident, ...]:
    """Return all that a project keeps in Redis or in caches beside its cache entries. Connects to nothing yet.

    ``settings`` are Django's. Raises MalformedUrl, MalformedLayer.
    """
    return (
        _broker(app),
        *_results(app, settings.CACHES),
        *_channel_layers(getattr(settings, "CHANNEL_LAYERS", None) or {}),
        *_sessions(settings),
    )


def _broker(app: Celery) -> Resident:
    conf = app.conf
    where = places.places(places.urls([conf.broker_read_url, conf.broker_write_url, conf.broker_url]))
    if not where:
        return Resident("the broker")
    return Resident(
        "the broker",
        where,
        run_id=cache(lambda: _ask(app, lambda channel: str(channel.client.info("server")["run_id"]))),
        queued=lambda: _ask(app, lambda channel: sum(channel._size(name) for name in app.amqp.queues)),
    )


def _ask(app: Celery, question: Callable[[Any], Any]) -> Any:
    """Return the answer of the broker's channel; None when it gives none within seconds."""
    options = {**(app.conf.broker_transport_options or {}), **places.PATIENCE}
    connection = app.connection_for_read(connect_timeout=3, transport_options=options)
    errors: tuple[type[BaseException], ...] = (
        *connection.connection_errors,
        *connection.channel_errors,
        OSError,
        KombuError,
        KeyError,
    )
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, reraise_as_library_errors=False)
        return question(connection.default_channel)
    except errors:
        return None
    finally:
        connection.release()


def _results(app: Celery, configured: Mapping[str, Any]) -> Iterator[Resident]:
    conf, backend = app.conf, str(app.conf.result_backend or "")
    name = "the result backend"
    if backend in ("redis", "rediss"):  # no URL: the server of redis_host, redis_port and redis_db
        where = frozenset({places.place(conf.redis_host, conf.redis_port, conf.redis_db)})
    elif backend == "django-cache":
        alias = conf.cache_backend or "default"
        yield _in_cache(name, alias, configured, _RESULT_HEADS)
        return
    else:
        where = places.places(places.urls(conf.result_backend))
    if where:
        yield Resident(name, where, run_id=cache(lambda: _ask_backend(app)))


def _ask_backend(app: Celery) -> str | None:
    backend: Any = app.backend
    try:
        # Its own client would wait for two minutes.
        patience = {key: value for key, value in places.PATIENCE.items() if key in backend.connparams}
        return places.run_id(lambda: backend._create_client(**{**backend.connparams, **patience}))
    except (AttributeError, TypeError, redis.RedisError):
        return None


def _channel_layers(layers: Mapping[str, Any]) -> Iterator[Resident]:
    for name, layer in layers.items():
        if not isinstance(layer, Mapping):
            raise places.MalformedLayer(name=name)
        if "redis" not in str(layer.get("BACKEND", "")).lower():
            continue
        for host in (layer.get("CONFIG") or {}).get("hosts") or [("localhost", 6379)]:
            where, connect = _host(host)
            yield Resident(f"the channel layer {name!r}", where, run_id=cache(lambda ask=connect: places.run_id(ask)))


def _host(host: Any) -> tuple[frozenset[Place], Callable[[], Any]]:
    """Return where a host of channels_redis is (a URL, a pair, or a dict of either), and how to connect to it."""
    given = dict(host) if isinstance(host, Mapping) else {"address": host}
    address, database = given.pop("address", None), given.pop("db", 0)
    if isinstance(address, str):
        return places.places([address], database=database), lambda: places.client(address)
    if "sentinels" in given:
        return frozenset(places.place(name, port, database) for name, port in given["sentinels"]), _no_connection
    name, port = address or (given.get("host"), given.get("port"))
    login = {key: given[key] for key in ("username", "password") if key in given}
    where = places.place(name, port, database)
    return frozenset({where}), lambda: places.client(f"redis://{where}", **login)


def _no_connection() -> Any:
    raise OSError("a sentinel is not the server")


def _sessions(settings: Any) -> Iterator[Resident]:
    from django.contrib.sessions.backends.cache import SessionStore as CacheStore

    try:
        store = import_module(settings.SESSION_ENGINE).SessionStore
    except (ImportError, AttributeError):
        return  # a project with such an engine has no sessions; clear_sessions tells
    if issubclass(store, CacheStore):
        yield _in_cache("the sessions", settings.SESSION_CACHE_ALIAS, settings.CACHES, (store.cache_key_prefix,))


def _in_cache(name: str, alias: str, configured: Mapping[str, Any], heads: tuple[str, ...]) -> Resident:
    entry = configured.get(alias) or {}
    return Resident(name, places.cache_places(entry), alias, heads, run_id=cache(lambda: cache_run_id(alias, entry)))


def cache_run_id(alias: str, entry: Mapping[str, Any]) -> str | None:
    """Return what the Redis server of a cache calls itself; None when it does not tell."""
    from django.core.cache import caches
    from django.core.cache.backends.redis import RedisCache

    store: Any = caches[alias]
    if isinstance(store, RedisCache):
        return places.run_id(lambda: store._cache.get_client(None, write=True))
    return places.run_id(lambda: places.client(places.cache_urls(entry)[0]))
