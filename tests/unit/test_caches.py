"""Caches: which Redis database a URL means, and what is refused for it."""

from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.test import override_settings

from maintenance import caches
from maintenance.caches import MalformedUrl, NoKeys, Resident, Shared, Step, UnknownCache, keys, places
from maintenance.caches.places import Place

REDIS = "django.core.cache.backends.redis.RedisCache"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/1",
        "redis://localhost/1",
        "redis://LOCALHOST:6379/1",
        "redis://localhost.:6379/1",
        "redis://[::1]:6379/1",
        "redis://:secret@localhost/1",
        "redis://user:p%40ss@127.0.0.1:6379/1?ssl_cert_reqs=none",
        "rediss://127.0.0.1:6379/1",
        "valkey://localhost/1",
        "valkeys://localhost/1",
        "redis://localhost?db=1",
        "redis://localhost/0?db=1",
        "redis:///1",
        "redis://0.0.0.0/1",
        " redis://localhost/1 ",
    ],
)
def test_one_database_has_one_spelling(url: str) -> None:
    assert places.places([url]) == {Place("127.0.0.1:6379", 1)}


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/0",
        "redis://localhost",
        "redis://localhost:6380/1",
        "redis://cache.example.com/1",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_another_database_is_another_one(url: str) -> None:
    assert places.places([url]) != places.places(["redis://127.0.0.1:6379/1"])


@pytest.mark.parametrize("url", ["django-db", "db+postgresql://h/d", "amqp://h//", "memory://", "", "127.0.0.1:11211"])
def test_other_servers_are_none_of_redis(url: str) -> None:
    assert places.places([url]) == frozenset()


def test_a_socket_is_known_under_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "run it").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run it")
    urls = [
        f"unix://{tmp_path}/run%20it/r.sock?db=2",
        f"redis+socket://{tmp_path}/run%20it/r.sock?virtual_host=2",
        f"redis+socket://{tmp_path}/link/r.sock?virtual_host=/2",
    ]
    assert places.places(urls) == {Place(f"{tmp_path}/run it/r.sock", 2)}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h:port/0", "redis://**@h:port/0"),
        ("redis://user:sec/ret@h:6379/0", "redis://**@h:6379/0"),
        ("redis://h/zero", "redis://h/zero"),
        ("redis://h:99999/0", "redis://h:99999/0"),
    ],
)
def test_a_malformed_url_is_named_without_its_password(url: str, shown: str) -> None:
    with pytest.raises(MalformedUrl) as caught:
        places.places([url])
    assert caught.value.message == f"The Redis URL {shown!r} has no valid port or database number."
    assert caught.value.exit_code == 2


def resident(number: int, *urls: str) -> Resident:
    return Resident(f"tenant {number}", places.places(places.urls(list(urls))))


def steps(location: object, *tenants: str, cache: dict[str, Any] | None = None, **wanted: Any) -> tuple[Step, ...]:
    configured = {"default": {"BACKEND": REDIS, "LOCATION": location, **(cache or {})}}
    residents = [resident(number, url) for number, url in enumerate(tenants)]
    with override_settings(CACHES=configured):
        return caches.plan(aliases=["default"], configured=configured, residents=residents, **wanted)


PREFIX: dict[str, Any] = {"KEY_PREFIX": "p"}


def test_a_database_of_its_own_is_cleared_wholly() -> None:
    for where_shared in (True, False):
        found = steps("redis://h/1", "redis://h/0", "redis://h/2", cache=PREFIX, keys_where_shared=where_shared)
        assert found == (Step("default", "RedisCache"),)


@pytest.mark.parametrize(
    ("location", "tenant", "options"),
    [
        ("redis://127.0.0.1:6379/0", "redis://localhost", {}),
        ("redis://a/1,redis://localhost/1", "redis://127.0.0.1/1", {}),
        ("redis://a/1;redis://localhost/1", "redis://127.0.0.1/1", {}),
        (["redis://a/1", "redis://localhost/1"], "redis://127.0.0.1/1", {}),
        ("redis://localhost", "redis://127.0.0.1/3", {"OPTIONS": {"db": "3"}}),
        ("redis://localhost/1", "redis://other/0;redis://127.0.0.1/1", {}),
        ("unix:///run/r.sock?db=1", "redis+socket:///run/r.sock?virtual_host=1", {}),
    ],
)
def test_a_shared_database_is_refused(location: object, tenant: str, options: dict[str, Any]) -> None:
    with pytest.raises(Shared) as caught:
        steps(location, tenant, cache=PREFIX | options)
    assert caught.value.exit_code == 4
    assert caught.value.facts["others"] == "tenant 0"


def test_every_neighbour_is_named() -> None:
    with pytest.raises(Shared) as caught:
        steps("redis://h/2", "redis://h/0", "redis://h/2", "redis://h:6379/2")
    assert str(caught.value) == (
        "Cache 'default' shares the Redis database h:6379/2 with tenant 1 and tenant 2: clearing it would delete that "
        "too. Nothing was cleared. Pass --prefix to delete only its own keys (it has no KEY_PREFIX), or pass "
        "--force-shared to delete everything in there."
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "refused"),
    [("one", "one", True), ("one", "two", False), (None, "one", False), ("one", None, False), (None, None, False)],
)
def test_one_server_with_two_addresses_is_known_by_what_it_calls_itself(
    monkeypatch: pytest.MonkeyPatch, mine: str | None, theirs: str | None, refused: bool
) -> None:
    monkeypatch.setattr("maintenance.caches.steps.cache_run_id", lambda alias, entry: mine)
    configured = {"default": {"BACKEND": REDIS, "LOCATION": "redis://cache.internal/0"}}
    broker = Resident("the broker", frozenset({Place("10.0.0.3:6379", 0)}), run_id=lambda: theirs, queued=lambda: 3)
    other = Resident("another", frozenset({Place("10.0.0.3:6379", 5)}), run_id=lambda: theirs)
    with override_settings(CACHES=configured):
        if not refused:
            found = caches.plan(aliases=["default"], configured=configured, residents=[broker, other])
            assert found == (Step("default", "RedisCache"),)
            return
        with pytest.raises(Shared) as caught:
            caches.plan(aliases=["default"], configured=configured, residents=[broker, other])
    assert caught.value.facts["others"] == "the broker (3 queued messages)"
    assert caught.value.facts["where"] == "the Redis database cache.internal:6379/0"


def test_nobody_is_asked_who_it_is_for_another_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> str:
        raise AssertionError("asked")

    monkeypatch.setattr("maintenance.caches.steps.cache_run_id", never)
    configured = {"default": {"BACKEND": REDIS, "LOCATION": "redis://h/1"}}
    broker = Resident("the broker", frozenset({Place("h:6379", 0)}), run_id=never, queued=never)  # type: ignore[arg-type] # it never returns
    with override_settings(CACHES=configured):
        assert caches.plan(aliases=["default"], configured=configured, residents=[broker]) == (
            Step("default", "RedisCache"),
        )


def test_forced_it_is_cleared_wholly_and_tells_what_goes_with_it() -> None:
    found = steps("redis://h/0", "redis://h/0", cache=PREFIX, force=True)
    assert found == (Step("default", "RedisCache", shared=("tenant 0",)),)


@pytest.mark.parametrize(
    ("wanted", "prefix", "pattern"),
    [
        ({"prefix": ""}, "p", None),
        ({"prefix": "old"}, "old", None),
        ({"pattern": "user:*"}, "p", "user:*"),
        ({"keys_where_shared": True}, "p", None),
        ({"prefix": "", "force": True}, "p", None),
    ],
)
def test_keys_are_chosen_where_the_database_is_shared(wanted: Any, prefix: str, pattern: str | None) -> None:
    found = steps("redis://h/0", "redis://h/0", cache=PREFIX, **wanted)
    assert found == (Step("default", "RedisCache", prefix=prefix, pattern=pattern),)


def test_keys_can_be_chosen_of_djangos_redis_cache_only() -> None:
    hidden = PREFIX | {"KEY_FUNCTION": "tests.unit.test_caches.bare"}
    with pytest.raises(NoKeys) as caught:
        steps("redis://h/0", cache=hidden, prefix="")
    assert (str(caught.value), caught.value.exit_code) == (
        "Keys of cache 'default' cannot be chosen: its KEY_FUNCTION hides the prefix. Nothing was cleared. "
        "Leave --prefix and --pattern out for it.",
        2,
    )
    with pytest.raises(Shared, match="Give it a store of its own, or pass --force-shared"):
        steps("redis://h/0", "redis://h/0", cache=hidden, keys_where_shared=True)
    with pytest.raises(NoKeys, match="LocMemCache is not Django's own RedisCache"):
        steps("", cache={"BACKEND": LOCMEM}, pattern="*")


def bare(key: str, key_prefix: str, version: int) -> str:
    return key


def test_an_unknown_alias_is_refused_before_anything_else() -> None:
    with pytest.raises(UnknownCache) as caught:
        caches.plan(aliases=["default", "nope"], configured={"default": {"BACKEND": LOCMEM}})
    assert (str(caught.value), caught.value.exit_code) == (
        "There is no cache 'nope' in CACHES. It has: 'default'.",
        2,
    )


# --- Who lives there


def where(settings: Any, **celery: Any) -> dict[str, set[str]]:
    app = Celery("other", set_as_current=False, broker="amqp://h//")
    app.conf.update(celery)
    return {found.name: {str(place) for place in found.places} for found in caches.residents(app, settings=settings)}


@pytest.mark.parametrize(
    ("celery", "expected"),
    [
        ({}, {"the broker": set()}),
        ({"broker_url": "redis://localhost/3"}, {"the broker": {"127.0.0.1:6379/3"}}),
        (
            {"broker_read_url": "redis://a", "broker_write_url": ["redis://b", "redis://c/1"]},
            {"the broker": {"a:6379/0", "b:6379/0", "c:6379/1"}},
        ),
        (
            {"broker_url": "sentinel://a:26379/0;sentinel://b/0"},
            {"the broker": {"a:26379/0", "b:26379/0"}},
        ),
        ({"result_backend": "rediss://h/2"}, {"the broker": set(), "the result backend": {"h:6379/2"}}),
        (
            {"result_backend": "redis", "redis_host": "R", "redis_db": 4},
            {"the broker": set(), "the result backend": {"r:6379/4"}},
        ),
        ({"result_backend": "django-db"}, {"the broker": set()}),
    ],
)
def test_broker_and_results_are_found(settings: Any, celery: dict[str, Any], expected: Any) -> None:
    assert where(settings, **celery) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (None, {"127.0.0.1:6379/0"}),
        ([("localhost", 6380)], {"127.0.0.1:6380/0"}),
        (["redis://h/3"], {"h:6379/3"}),
        ([{"address": "redis://h/3"}], {"h:6379/3"}),
        ([{"address": ("h", 6379), "db": 5}], {"h:6379/5"}),
        ([{"host": "h", "port": 1, "db": 2}], {"h:1/2"}),
        ([{"sentinels": [("a", 26379), ("b", 26379)], "master_name": "m"}], {"a:26379/0", "b:26379/0"}),
    ],
)
def test_channel_layers_are_found(settings: Any, hosts: Any, expected: set[str]) -> None:
    config = {} if hosts is None else {"hosts": hosts}
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config},
        "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    }
    assert where(settings)["the channel layer 'default'"] == expected
    assert len(where(settings)) == 2


def test_sessions_and_results_that_live_in_a_cache_are_found(settings: Any) -> None:
    settings.CACHES = {
        "default": {"BACKEND": LOCMEM},
        "kept": {"BACKEND": REDIS, "LOCATION": "redis://h/1"},
    }
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.SESSION_CACHE_ALIAS = "kept"
    app = Celery("other", set_as_current=False, broker="amqp://h//")
    app.conf.update(result_backend="django-cache")
    _, results, sessions = caches.residents(app, settings=settings)
    assert (results.name, results.alias, results.places) == ("the result backend", "default", frozenset())
    assert results.heads == ("celery-task-meta-", "celery-taskset-meta-", "chord-unlock-")
    assert (sessions.name, sessions.alias, {*map(str, sessions.places)}) == ("the sessions", "kept", {"h:6379/1"})
    assert sessions.heads == ("django.contrib.sessions.cache",)


@pytest.mark.parametrize("engine", ["db", "cached_db", "file", "signed_cookies"])
def test_other_session_engines_lose_nothing_with_a_cache(settings: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    assert where(settings) == {"the broker": set()}


def test_the_cache_of_the_sessions_is_refused_whatever_its_backend(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": LOCMEM}}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    app = Celery("other", set_as_current=False, broker="memory://")
    residents = caches.residents(app, settings=settings)
    with pytest.raises(Shared) as caught:
        caches.plan(aliases=["default"], configured=settings.CACHES, residents=residents)
    assert str(caught.value) == (
        "Cache 'default' shares its entries with the sessions: clearing it would delete that too. Nothing was "
        "cleared. Give it a store of its own, or pass --force-shared to delete everything in there."
    )


def test_a_cache_that_goes_with_another_is_named(settings: Any) -> None:
    settings.CACHES = {
        "default": {"BACKEND": REDIS, "LOCATION": "redis://h/1"},
        "other": {"BACKEND": REDIS, "LOCATION": "redis://h:6379/1"},
        "third": {"BACKEND": REDIS, "LOCATION": "redis://h/2"},
    }
    (step,) = caches.plan(aliases=["default"], configured=settings.CACHES)
    assert step == Step("default", "RedisCache", also=("other",))


# --- Which keys


def test_every_character_of_a_prefix_is_literal() -> None:
    wanted = keys.of("a*[b]?\\^")
    assert wanted.match == "a\\*\\[b\\]\\?\\\\\\^:[0-9]*:*"
    assert wanted.name.fullmatch(b"a*[b]?\\^:1:k")
    assert not wanted.name.fullmatch(b"aX[b]?\\^:1:k")


@pytest.mark.parametrize(
    ("key", "mine"),
    [
        (b"p:1:k", True),
        (b"p:12:k", True),
        (b"p:1:", True),
        (b"p:1:a:b\nc", True),
        (b"p2:1:k", False),
        (b"p:other:1:k", False),
        (b"p:1x:k", False),
        (b"xp:1:k", False),
        (b"p:1:django.contrib.sessions.cacheabc", False),
        (b"p:1:django.contrib.sessions", True),
    ],
)
def test_the_keys_of_a_prefix_are_its_own(key: bytes, mine: bool) -> None:
    wanted = keys.of("p", spared=("celery-task-meta-", "django.contrib.sessions.cache"))
    assert bool(wanted.name.fullmatch(key)) is mine


@pytest.mark.parametrize(
    ("pattern", "match", "yes", "no"),
    [
        ("user:*", "p:[0-9]*:user:**", b"p:1:user:7", b"p:1:x:user:7"),
        ("user:?", "p:[0-9]*:user:?*", b"p:1:user:7", b"p:1:user:77"),
        ("user:[!0-4]", "p:[0-9]*:user:*", b"p:1:user:5", b"p:1:user:4"),
        ("a\\b^", "p:[0-9]*:a\\\\b\\^*", b"p:1:a\\b^", b"p:1:ab^"),
        ("", "p:[0-9]*:*", b"p:1:", b"p:1:a"),
    ],
)
def test_a_pattern_is_meant_for_the_whole_name(pattern: str, match: str, yes: bytes, no: bytes) -> None:
    wanted = keys.of("p", pattern=pattern)
    assert wanted.match == match
    assert wanted.name.fullmatch(yes)
    assert not wanted.name.fullmatch(no)
