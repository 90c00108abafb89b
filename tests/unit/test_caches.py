"""Caches: which Redis database a URL means, and what is refused for it."""

from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from maintenance import caches
from maintenance.caches import MalformedUrl, NoPrefixOfItsOwn, SharedWithQueue, Step, UnknownCache

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
    assert caches.places([url]) == {caches.Place("127.0.0.1:6379", 1)}


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
    assert caches.places([url]) != caches.places(["redis://127.0.0.1:6379/1"])


@pytest.mark.parametrize("url", ["django-db", "db+postgresql://h/d", "amqp://h//", "memory://", "", "127.0.0.1:11211"])
def test_other_servers_are_none_of_redis(url: str) -> None:
    assert caches.places([url]) == frozenset()


def test_a_socket_is_known_under_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "run it").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run it")
    urls = [
        f"unix://{tmp_path}/run%20it/r.sock?db=2",
        f"redis+socket://{tmp_path}/run%20it/r.sock?virtual_host=2",
        f"redis+socket://{tmp_path}/link/r.sock?virtual_host=/2",
    ]
    assert caches.places(urls) == {caches.Place(f"{tmp_path}/run it/r.sock", 2)}


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
        caches.places([url])
    assert caught.value.message == f"The Redis URL {shown!r} has no valid port or database number."
    assert caught.value.exit_code == 2


def steps(location: object, *tenants: str, by_prefix: bool = False, **cache: Any) -> tuple[Step, ...]:
    configured = {"default": {"BACKEND": REDIS, "LOCATION": location, **cache}}
    with override_settings(CACHES=configured):
        return caches.plan(
            aliases=["default"],
            configured=configured,
            tenants={f"tenant {number}": url for number, url in enumerate(tenants)},
            by_prefix=by_prefix,
        )


def test_a_database_of_its_own_is_cleared_wholly() -> None:
    assert steps("redis://h/1", "redis://h/0", "redis://h/2", KEY_PREFIX="p") == (Step("default", "RedisCache"),)
    assert steps("redis://h/1", "redis://h/0", by_prefix=True, KEY_PREFIX="p") == (Step("default", "RedisCache"),)


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
    with pytest.raises(SharedWithQueue) as caught:
        steps(location, tenant, KEY_PREFIX="p", **options)
    assert caught.value.exit_code == 4
    assert caught.value.facts["tenant"] == "tenant 0"


def test_every_tenant_counts() -> None:
    with pytest.raises(SharedWithQueue) as caught:
        steps("redis://h/2", "redis://h/0", "redis://h/2")
    assert str(caught.value) == (
        "Cache 'default' shares the Redis database h:6379/2 with tenant 1: clearing it would delete that too. "
        "Nothing was cleared. Give the cache a database of its own, or set its KEY_PREFIX and pass --by-prefix."
    )


def test_by_prefix_needs_a_prefix() -> None:
    assert steps("redis://h/0", "redis://h/0", by_prefix=True, KEY_PREFIX="p") == (
        Step("default", "RedisCache", prefix="p"),
    )
    with pytest.raises(SharedWithQueue):
        steps("redis://h/0", "redis://h/0", by_prefix=True, KEY_PREFIX="")


def test_a_key_function_hides_the_prefix() -> None:
    with pytest.raises(NoPrefixOfItsOwn, match="KEY_FUNCTION hides the prefix"):
        steps("redis://h/0", "redis://h/0", by_prefix=True, KEY_PREFIX="p", KEY_FUNCTION="tests.unit.test_caches.bare")


def bare(key: str, key_prefix: str, version: int) -> str:
    return key


def test_an_unknown_alias_is_refused_before_anything_else() -> None:
    with pytest.raises(UnknownCache) as caught:
        caches.plan(aliases=["default", "nope"], configured={"default": {"BACKEND": LOCMEM}}, tenants={})
    assert (str(caught.value), caught.value.exit_code) == (
        "There is no cache 'nope' in CACHES. It has: 'default'.",
        2,
    )
