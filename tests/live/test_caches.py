"""Clearing a large cache beside a full queue, on a real server that is reached by TCP and by its socket."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.core.cache import caches

from tests.celery import app
from tests.conftest import Outcome
from tests.processes import Project
from tests.servers import Memcached, Sentinel, Valkey, free_port

QUEUED, KEYS = 1_000, 100_000
Run = Callable[..., Outcome]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that listens on a port and on a socket."""
    valkey = Valkey(tmp_path / "valkey")
    valkey.args += ["--unixsocket", str(tmp_path / "valkey.sock")]
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def client(server: Valkey) -> Iterator[Any]:
    connection = redis.Redis(port=server.port)
    yield connection
    connection.close()


def start(folder: Path, url: str, cache: str) -> Project:
    """Return opsproject with its broker at ``url`` and its cache at ``cache``."""
    return Project(folder, REDIS_URL=url, CACHE_URL=cache)


def fill(client: Any, url: str) -> None:
    """Queue tasks and write cache entries into one database, and keys of neighbours that look alike."""
    sender = Celery("sender", broker=url, set_as_current=False)
    with sender.connection_for_write() as connection:
        for number in range(QUEUED):
            sender.send_task("some.task", args=[number], queue="default", connection=connection)
    for start in range(0, KEYS, 10_000):
        client.mset({f"opsproject:1:key {number}": b"x" * 100 for number in range(start, start + 10_000)})
    client.mset({"opsproject2:1:k": 1, "opsproject:x:1:k": 1})


def test_by_prefix_a_hundred_thousand_keys_go_and_the_queue_stays(server: Valkey, client: Any, tmp_path: Path) -> None:
    project = start(tmp_path / "project", server.url, server.url)
    fill(client, server.url)
    refused = project.manage("clear_cache", check=False)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "with the broker (1000 queued messages): clearing it would delete that too" in refused.stderr

    client.config_resetstat()
    done = project.manage("clear_cache", "--prefix")
    assert (done.stdout, done.stderr) == (
        "Cleared 'default' (RedisCache, keys with prefix 'opsproject'): 100000 entries.\n",
        "",
    )
    assert (client.llen("default"), client.exists("opsproject2:1:k", "opsproject:x:1:k")) == (QUEUED, 2)
    assert list(client.scan_iter("opsproject:1:*", count=10_000)) == []
    ran = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert not ran & {"keys", "flushdb", "flushall", "del"}


@pytest.mark.parametrize("cache_by_socket", [True, False])
def test_one_server_reached_by_socket_and_by_tcp_is_one(
    server: Valkey, client: Any, tmp_path: Path, cache_by_socket: bool
) -> None:
    tcp, local = server.url, f"unix://{tmp_path}/valkey.sock?db=0"
    broker, cache = (tcp, local) if cache_by_socket else (local, tcp)
    project = start(tmp_path / "project", broker, cache)
    client.rpush("default", *range(3))
    refused = project.manage("clear_cache", check=False)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "with the broker (3 queued messages)" in refused.stderr
    # Another database of the same server is another place.
    project = start(tmp_path / "other", broker, cache.replace("?db=0", "?db=1").replace("/0", "/1"))
    assert project.manage("clear_cache").stdout == "Cleared 'default' (RedisCache): 0 entries.\n"
    assert client.llen("default") == 3


def test_a_server_that_refuses_is_one_line(server: Valkey, client: Any, tmp_path: Path) -> None:
    project = start(tmp_path / "project", server.url, server.url)
    client.mset({f"opsproject:1:{number}": 1 for number in range(5000)})
    client.acl_setuser("default", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-unlink"])
    done = project.manage("clear_cache", "--prefix", check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
    assert done.stderr.startswith("CommandError: Cache 'default' cannot be cleared: ")
    assert client.dbsize() == 5000


def test_a_broker_that_is_silent_or_down_does_not_keep_the_cache(server: Valkey, client: Any, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        # The same database number elsewhere: it is asked who it is, and does not say.
        for port in (silent.getsockname()[1], free_port()):
            client.set("opsproject:1:k", 1)
            project = start(tmp_path / str(port), f"redis://127.0.0.1:{port}/0", server.url)
            done = project.manage("clear_cache")
            assert (done.stdout, done.stderr) == ("Cleared 'default' (RedisCache): 1 entry.\n", "")


@pytest.fixture
def sentinel(server: Valkey, tmp_path: Path) -> Iterator[Sentinel]:
    """A sentinel that watches the server."""
    watching = Sentinel(tmp_path / "sentinel", server)
    watching.start()
    yield watching
    watching.stop()


def test_a_broker_behind_a_sentinel_is_found_to_be_the_caches_server(
    run: Run, server: Valkey, sentinel: Sentinel, client: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAINTENANCE = {"WORKER": {"APP": "tests"}}
    monkeypatch.setitem(app.conf, "broker_url", f"sentinel://127.0.0.1:{free_port()}/0;{sentinel.url}")
    monkeypatch.setitem(app.conf, "broker_transport_options", {"master_name": "main"})
    client.rpush("celery", *range(3))
    redis_cache = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": redis_cache, "LOCATION": server.url, "KEY_PREFIX": "shop"}}
    place = f"127.0.0.1:{server.port}/0"
    err = (
        f"CommandError: Cache 'default' shares the Redis database {place} with the broker (3 queued messages): "
        "clearing it would delete that too. Nothing was cleared. "
        "Pass --prefix to delete only its own keys with its prefix 'shop', or pass --force-shared to delete everything "
        "in there.\n"
    )
    assert run("clear_cache") == ("", err, 4)
    settings.CACHES = {"default": {"BACKEND": redis_cache, "LOCATION": server.url.replace("/0", "/1")}}
    assert run("clear_cache") == ("Cleared 'default' (RedisCache): 0 entries.\n", "", 0)
    assert client.llen("celery") == 3


def test_a_real_memcached_is_flushed(run: Run, tmp_path: Path, settings: Any) -> None:
    settings.MAINTENANCE = {"WORKER": {"APP": "tests"}}
    server = Memcached(tmp_path / "memcached")
    server.start()
    try:
        backend = "django.core.cache.backends.memcached.PyMemcacheCache"
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": f"127.0.0.1:{server.port}"}}
        caches["default"].set_many({"a": 1, "b": 2})
        note = "Nothing to do for 'default' (PyMemcacheCache): its server removes them by itself.\n"
        assert run("clear_cache", "--expired") == (note, "", 0)
        assert run("clear_cache", "--dry-run") == ("Would clear 'default' (PyMemcacheCache).\n", "", 0)
        assert caches["default"].get("a") == 1
        assert run("clear_cache") == ("Cleared 'default' (PyMemcacheCache).\n", "", 0)
        assert caches["default"].get_many(["a", "b"]) == {}
    finally:
        caches["default"].close()
        server.stop()
    err = (
        "CommandError: Cache 'default' cannot be cleared: [Errno 111] Connection refused. Start its server, or check "
        "CACHES['default'].\n"
    )
    assert run("clear_cache") == ("", err, 69)
