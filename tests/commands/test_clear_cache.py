"""clear_cache, through its door, against a private Valkey that holds a queue too."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.core.cache import caches
from kombu import Queue

from maintenance import tasks
from tests.celery import app
from tests.conftest import Outcome
from tests.servers import Valkey, free_port

Run = Callable[..., Outcome]
REDIS = "django.core.cache.backends.redis.RedisCache"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def client(server: Valkey) -> Iterator["redis.Redis"]:
    connection = redis.Redis(port=server.port)
    connection.flushall()
    yield connection
    connection.close()


@pytest.fixture
def url(server: Valkey, monkeypatch: pytest.MonkeyPatch, settings: Any) -> str:
    """Point the tests' Celery app at database 0 and return the server's URL without a database."""
    monkeypatch.setitem(app.conf, "broker_url", server.url)
    monkeypatch.setitem(app.conf, "result_backend", f"redis://localhost:{server.port}/2")
    settings.MAINTENANCE = {"WORKER": {"APP": "tests"}}
    return f"redis://127.0.0.1:{server.port}"


def configure(settings: Any, location: str, **options: Any) -> None:
    settings.CACHES = {
        "default": {"BACKEND": REDIS, "LOCATION": location, **options},
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }


def queue_tasks(url: str, count: int, queue: str = "celery") -> None:
    sender = Celery("sender", broker=f"{url}/0", set_as_current=False)
    sender.conf.task_queues = [Queue(queue)]
    with sender.connection_for_write() as connection:
        for number in range(count):
            sender.send_task("some.task", args=[number], queue=queue, connection=connection)


def test_a_cache_of_its_own_is_cleared(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/1")
    queue_tasks(url, 5)
    caches["default"].set("a", 1)
    assert run("clear_cache", "--noinput") == ("Cleared 1 cache: 'default' (RedisCache).\n", "", 0)
    assert (caches["default"].get("a"), client.llen("celery")) == (None, 5)


def test_the_brokers_database_is_refused_and_nothing_is_cleared(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url.replace('127.0.0.1', 'localhost')}/0", KEY_PREFIX="shop")
    queue_tasks(url, 5)
    caches["default"].set("a", 1)
    caches["local"].set("b", 2)
    place = f"{url.removeprefix('redis://')}/0"
    err = (
        f"CommandError: Cache 'default' shares the Redis database {place} with the broker: clearing it would delete "
        "that too. Nothing was cleared. "
        "Give the cache a database of its own, or set its KEY_PREFIX and pass --by-prefix.\n"
    )
    assert run("clear_cache", "--alias", "local", "default") == ("", err, 4)
    assert run("clear_cache", "--dry-run") == ("", err, 4)
    assert (caches["default"].get("a"), caches["local"].get("b"), client.llen("celery")) == (1, 2, 5)


def test_the_result_backends_database_is_refused(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/2")
    out, err, code = run("clear_cache")
    assert (out, code) == ("", 4)
    assert "/2 with the result backend" in err


def test_by_prefix_exactly_the_caches_keys_go(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="a*[b]?")
    queue_tasks(url, 5)
    # A queue whose name looks like the cache's keys, and keys of prefixes that begin alike.
    queue_tasks(url, 3, queue="a*[b]?:1:queue")
    others = ["a*[b]?2:1:k", "aXb!:1:k", "a*[b]?:other:1:k", "ab:1:k", "celery-task-meta-1"]
    for key in others:
        client.set(key, b"x")
    caches["default"].set_many({f"k{number}": number for number in range(2500)}, timeout=None)
    caches["default"].set("k", 1, version=12)
    out = "Cleared 1 cache: 'default' (RedisCache, 2501 keys with prefix 'a*[b]?').\n"
    assert run("clear_cache", "--by-prefix") == (out, "", 0)
    assert (client.llen("celery"), client.llen("a*[b]?:1:queue")) == (5, 3)
    assert client.exists(*others) == len(others)
    assert list(client.scan_iter(match=r"a\*\[b\]\?:*", _type="string")) == [b"a*[b]?:other:1:k"]


def test_neither_keys_nor_flushdb_is_sent_by_prefix(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    caches["default"].set("a", 1)
    client.config_resetstat()
    assert run("clear_cache", "--by-prefix", "--json")[2] == 0
    commands = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert {"scan", "unlink"} <= commands
    assert not commands & {"keys", "flushdb", "flushall", "del"}


def test_a_dry_run_clears_nothing(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    caches["default"].set("a", 1)
    out = (
        "Would clear 2 caches: 'default' (RedisCache, keys with prefix 'shop'), "
        "'local' (LocMemCache, only this process' part).\n"
    )
    assert run("clear_cache", "--alias", "default", "--alias", "local", "--by-prefix", "--dry-run") == (out, "", 0)
    assert caches["default"].get("a") == 1


def test_the_document(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    caches["default"].set("a", 1)
    out, err, code = run("clear_cache", "--by-prefix", "--json", "--alias", "default", "local")
    assert (err, code) == ("", 0)
    assert json.loads(out) == {
        "schema_version": 1,
        "dry_run": False,
        "caches": [
            {"alias": "default", "backend": "RedisCache", "prefix": "shop", "keys": 1},
            {"alias": "local", "backend": "LocMemCache", "prefix": None, "keys": None},
        ],
    }


def test_settings_name_what_is_cleared(run: Run, url: str, settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path / "cache"},
    }
    settings.MAINTENANCE = {"WORKER": {"APP": "tests"}, "CACHES": {"CLEAR": ["files"]}}
    caches["default"].set("a", 1)
    caches["files"].set("a", 1)
    assert run("clear_cache") == ("Cleared 1 cache: 'files' (FileBasedCache).\n", "", 0)
    assert (caches["default"].get("a"), caches["files"].get("a")) == (1, None)


def test_an_unknown_cache_is_refused(run: Run, url: str, settings: Any) -> None:
    configure(settings, f"{url}/1")
    err = "CommandError: There is no cache 'nope' in CACHES. It has: 'default', 'local'.\n"
    assert run("clear_cache", "--alias", "nope") == ("", err, 2)


def test_a_server_that_is_gone_is_one_line(run: Run, url: str, settings: Any) -> None:
    configure(settings, f"redis://127.0.0.1:{free_port()}/1")
    out, err, code = run("clear_cache")
    assert (out, code, err.count("\n")) == ("", 69, 1)
    assert err.startswith("CommandError: Cache 'default' cannot be cleared: ")


@pytest.mark.django_db
def test_the_scheduled_task_goes_by_prefix_where_the_database_is_shared(client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    queue_tasks(url, 5)
    caches["default"].set("a", 1)
    assert tasks.clear_cache.name == "maintenance.clear_cache"
    answer = app.tasks["maintenance.clear_cache"].apply().get()
    assert answer == {"caches": [{"alias": "default", "backend": "RedisCache", "prefix": "shop", "keys": 1}]}
    assert client.llen("celery") == 5
