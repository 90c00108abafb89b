"""clear_cache, through its door, against a private Valkey that holds a queue too."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import redis
import time_machine
from celery import Celery
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
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
    assert app.backend, "made now, as Celery keeps the first one: other tests' results do not live in this server"
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
    assert run("clear_cache", "--noinput") == ("Cleared 'default' (RedisCache): 1 entry.\n", "", 0)
    assert (caches["default"].get("a"), client.llen("celery")) == (None, 5)


def test_the_brokers_database_is_refused_and_nothing_is_cleared(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url.replace('127.0.0.1', 'localhost')}/0", KEY_PREFIX="shop")
    queue_tasks(url, 5)
    caches["default"].set("a", 1)
    caches["local"].set("b", 2)
    place = f"{url.removeprefix('redis://')}/0"
    err = (
        f"CommandError: Cache 'default' shares the Redis database {place} with the broker (5 queued messages): "
        "clearing it would delete that too. Nothing was cleared. "
        "Pass --prefix to delete only its own keys with its prefix 'shop', or pass --force-shared to delete "
        "everything in there.\n"
    )
    assert run("clear_cache", "--alias", "local", "default") == ("", err, 4)
    assert run("clear_cache", "--dry-run") == ("", err, 4)
    assert (caches["default"].get("a"), caches["local"].get("b"), client.llen("celery")) == (1, 2, 5)


def test_the_result_backends_database_is_refused(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/2")
    out, err, code = run("clear_cache")
    assert (out, code) == ("", 4)
    assert "/2 with the result backend: clearing" in err


def test_the_sessions_cache_is_refused_and_by_prefix_they_are_spared(
    run: Run, client: Any, url: str, settings: Any
) -> None:
    configure(settings, f"{url}/1", KEY_PREFIX="shop")
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session["user"] = 7
    session.save()
    caches["default"].set("a", 1)
    out, err, code = run("clear_cache")
    assert (out, code) == ("", 4)
    assert f"{url.removeprefix('redis://')}/1 with the sessions: clearing" in err
    out = "Cleared 'default' (RedisCache, keys with prefix 'shop'): 1 entry.\n"
    assert run("clear_cache", "--prefix") == (out, "", 0)
    assert (caches["default"].get("a"), session.exists(session.session_key)) == (None, True)


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
    out = "{} 'default' (RedisCache, keys with prefix 'a*[b]?'): 2501 entries.\n"
    assert run("clear_cache", "--prefix", "--dry-run") == (out.format("Would clear"), "", 0)
    assert run("clear_cache", "--prefix") == (out.format("Cleared"), "", 0)
    assert (client.llen("celery"), client.llen("a*[b]?:1:queue")) == (5, 3)
    assert client.exists(*others) == len(others)
    assert list(client.scan_iter(match=r"a\*\[b\]\?:*", _type="string")) == [b"a*[b]?:other:1:k"]


def test_the_prefix_may_be_another_or_none(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0")
    client.set("old:1:k", b"x")
    caches["default"].set("a", 1)
    out = "Cleared 'default' (RedisCache, keys with prefix {}): 1 entry.\n"
    assert run("clear_cache", "--prefix", "old") == (out.format("'old'"), "", 0)
    assert client.keys() == [b":1:a"]
    assert run("clear_cache", "--prefix") == (out.format("''"), "", 0)
    assert client.keys() == []


def test_by_pattern_the_names_that_match_go(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/1", KEY_PREFIX="shop")
    caches["default"].set_many({"user:1": 1, "user:2": 2, "users": 3, "a:user:1": 4})
    out = "Cleared 'default' (RedisCache, keys with prefix 'shop' that match 'user:*'): 2 entries.\n"
    assert run("clear_cache", "--pattern", "user:*") == (out, "", 0)
    assert sorted(client.__class__(port=client.connection_pool.connection_kwargs["port"], db=1).keys()) == [
        b"shop:1:a:user:1",
        b"shop:1:users",
    ]
    err = "CommandError: argument --pattern: not allowed with argument --prefix.\n"
    assert run("clear_cache", "--prefix", "p", "--pattern", "x") == ("", err, 2)


def test_forced_everything_goes_once_somebody_says_so(
    run: Run, client: Any, url: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(settings, f"{url}/0")
    queue_tasks(url, 5)
    refused = "CommandError: Not confirmed: nothing was changed. Answer y, or pass --noinput where nobody can answer.\n"
    question = "Clear 'default', and with it the broker (5 queued messages)? [y/N] "
    for answer, asked in (("", ""), ("\n", question), ("n\n", question)):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda answer=answer: bool(answer))
        monkeypatch.setattr("sys.stdin", terminal)
        assert run("clear_cache", "--force-shared") == ("", asked + refused, 4)
        assert client.llen("celery") == 5
    # The queue, and kombu's bindings.
    out = (
        f"Cleared 'default' (RedisCache): {client.dbsize()} entries, and with it the broker (5 queued messages) "
        "in the same place.\n"
    )
    assert run("clear_cache", "--force-shared", "--noinput") == (out, "", 0)
    assert client.keys() == []


def test_neither_keys_nor_flushdb_is_sent_by_prefix(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    caches["default"].set("a", 1)
    client.config_resetstat()
    assert run("clear_cache", "--prefix", "--json")[2] == 0
    commands = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert {"scan", "unlink"} <= commands
    assert not commands & {"keys", "flushdb", "flushall", "del"}


def test_a_dry_run_clears_nothing(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/1")
    caches["default"].set("a", 1)
    out = (
        "Would clear 'default' (RedisCache): 1 entry.\n"
        "Would clear 'local' (LocMemCache, only this process' own): 0 entries.\n"
    )
    caches["local"].clear()
    assert run("clear_cache", "--alias", "default", "--alias", "local", "--dry-run") == (out, "", 0)
    assert caches["default"].get("a") == 1


def test_the_document(run: Run, client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    caches["default"].set("a", 1)
    out, err, code = run("clear_cache", "--prefix", "--json")
    assert (err, code) == ("", 0)
    assert json.loads(out) == {
        "schema_version": 1,
        "dry_run": False,
        "caches": [
            {
                "alias": "default",
                "backend": "RedisCache",
                "prefix": "shop",
                "pattern": None,
                "spared": [],
                "also": [],
                "shared": [],
                "keys": 1,
            }
        ],
    }


class ThirdParty(LocMemCache):
    """A backend of somebody else's, with a clear() of its own."""

    cleared = 0

    def clear(self) -> None:
        type(self).cleared += 1


def test_each_of_djangos_backends_can_be_cleared(run: Run, url: str, settings: Any, tmp_path: Path) -> None:
    backends = "django.core.cache.backends"
    settings.CACHES = {
        "default": {"BACKEND": f"{backends}.dummy.DummyCache"},
        "files": {"BACKEND": f"{backends}.filebased.FileBasedCache", "LOCATION": tmp_path / "cache"},
        "theirs": {"BACKEND": "tests.commands.test_clear_cache.ThirdParty", "LOCATION": "theirs"},
    }
    caches["files"].set("a", 1)
    out = (
        "Cleared 'default' (DummyCache).\n"
        "Cleared 'files' (FileBasedCache): 1 entry.\n"
        "Cleared 'theirs' (ThirdParty): 0 entries.\n"
    )
    assert run("clear_cache", "--alias", "default", "files", "theirs") == (out, "", 0)
    assert (caches["files"].get("a"), ThirdParty.cleared) == (None, 1)


class MemcacheError(Exception):
    """What a client library raises beside OSError."""


class Memcached(BaseMemcachedCache):
    """Django's memcached backend over a library that keeps its entries here."""

    entries: ClassVar[dict[str, Any]] = {}
    trouble: ClassVar[Exception | None] = None

    class Client:
        def __init__(self, servers: list[str]) -> None:
            assert servers == ["127.0.0.1:11211"]

        def flush_all(self) -> None:
            if Memcached.trouble:
                raise Memcached.trouble
            Memcached.entries.clear()

        def disconnect_all(self) -> None:
            pass

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        library: Any = SimpleNamespace(Client=self.Client, MemcacheError=MemcacheError)
        super().__init__(server, params, library=library, value_not_found_exception=KeyError)


def test_memcached_is_flushed(run: Run, url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = "tests.commands.test_clear_cache.Memcached"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "127.0.0.1:11211"}}
    Memcached.entries["a"] = 1
    note = "Nothing to do for 'default' (Memcached): its server removes them by itself.\n"
    assert run("clear_cache", "--expired") == (note, "", 0)
    assert run("clear_cache", "--dry-run") == ("Would clear 'default' (Memcached).\n", "", 0)
    assert Memcached.entries == {"a": 1}
    assert run("clear_cache") == ("Cleared 'default' (Memcached).\n", "", 0)
    assert Memcached.entries == {}
    for trouble in (MemcacheError("closed"), ConnectionRefusedError("closed")):
        monkeypatch.setattr(Memcached, "trouble", trouble)
        err = "CommandError: Cache 'default' cannot be cleared: closed. Start its server, or check CACHES['default'].\n"
        assert run("clear_cache") == ("", err, 69)


@pytest.mark.django_db
class TestDatabaseCache:
    """A cache in the database, whose table createcachetable makes."""

    @pytest.fixture(autouse=True)
    def _cache(self, settings: Any, url: str) -> None:
        backend = "django.core.cache.backends.db.DatabaseCache"
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "entries", "OPTIONS": {"MAX_ENTRIES": 10**6}}}

    def test_it_is_cleared(self, run: Run) -> None:
        call_command("createcachetable", verbosity=0)
        caches["default"].set_many({"a": 1, "b": 2})
        assert run("clear_cache") == ("Cleared 'default' (DatabaseCache): 2 entries.\n", "", 0)
        assert caches["default"].get("a") is None

    def test_what_expired_goes_in_batches(self, run: Run, settings: Any) -> None:
        call_command("createcachetable", verbosity=0)
        now = timezone.now().replace(microsecond=0)
        with time_machine.travel(now - timedelta(seconds=61), tick=False):
            caches["default"].set_many({f"old{number}": 1 for number in range(1201)}, timeout=60)
            caches["default"].set("edge", 1, timeout=61)
            caches["default"].set("always", 1, timeout=None)
        with time_machine.travel(now, tick=False), CaptureQueriesContext(connection) as queries:
            out = "{} 1201 expired entries of 'default' (DatabaseCache).\n"
            assert run("clear_cache", "--expired", "--dry-run") == (out.format("Would delete"), "", 0)
            assert run("clear_cache", "--expired") == (out.format("Deleted"), "", 0)
            assert (caches["default"].get("edge"), caches["default"].get("always")) == (1, 1)
        assert sum("DELETE" in query["sql"] for query in queries.captured_queries) == 3

    def test_without_its_table_the_line_says_what_to_run(self, run: Run) -> None:
        for options in ([], ["--expired"], ["--dry-run"]):
            err = (
                "CommandError: The table of cache 'default' cannot be used: no such table: entries. "
                "Start its database, or run `manage.py createcachetable`.\n"
            )
            assert run("clear_cache", *options) == ("", err, 69)


def test_what_expired_of_files_goes(run: Run, url: str, settings: Any, tmp_path: Path) -> None:
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": tmp_path / "cache"}}
    now = timezone.now()
    with time_machine.travel(now - timedelta(seconds=61), tick=False):
        caches["default"].set_many({"old": 1, "older": 1}, timeout=60)
        caches["default"].set("edge", 1, timeout=61)
        caches["default"].set("always", 1, timeout=None)
    (tmp_path / "cache" / "damaged.djcache").write_bytes(b"nonsense")
    (tmp_path / "cache" / "other.txt").write_bytes(b"nonsense")
    with time_machine.travel(now, tick=False):
        out = "{} 3 expired entries of 'default' (FileBasedCache).\n"
        assert run("clear_cache", "--expired", "--dry-run") == (out.format("Would delete"), "", 0)
        assert run("clear_cache", "--expired") == (out.format("Deleted"), "", 0)
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_others_cull_by_themselves(run: Run, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0")
    settings.CACHES = {**settings.CACHES, "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    out = (
        "Nothing to do for 'default' (RedisCache): its server removes them by itself.\n"
        "Nothing to do for 'local' (LocMemCache): each process holds its own and culls it by itself.\n"
        "Nothing to do for 'none' (DummyCache): it keeps nothing.\n"
    )
    assert run("clear_cache", "--expired") == (out, "", 0)
    out, err, code = run("clear_cache", "--expired", "--json", "--alias", "none")
    one = {"alias": "none", "backend": "DummyCache", "deleted": None, "note": "it keeps nothing"}
    assert (json.loads(out)["caches"], err, code) == ([one], "", 0)


def test_settings_name_what_is_cleared(run: Run, url: str, settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path / "cache"},
    }
    settings.MAINTENANCE = {"WORKER": {"APP": "tests"}, "CACHES": {"CLEAR": ["files"]}}
    caches["default"].set("a", 1)
    caches["files"].set("a", 1)
    assert run("clear_cache") == ("Cleared 'files' (FileBasedCache): 1 entry.\n", "", 0)
    assert (caches["default"].get("a"), caches["files"].get("a")) == (1, None)


def test_an_unknown_cache_is_refused(run: Run, url: str, settings: Any) -> None:
    configure(settings, f"{url}/1")
    err = "CommandError: There is no cache 'nope' in CACHES. It has: 'default', 'local'.\n"
    assert run("clear_cache", "--alias", "nope") == ("", err, 2)


def test_a_folder_that_cannot_be_emptied_is_one_line(
    run: Run, url: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": tmp_path}}
    for key in "abc":
        caches["default"].set(key, 1, timeout=-1)
    unlink, refused = Path.unlink, sorted(tmp_path.iterdir())[-1]

    def stubborn(path: Path, missing_ok: bool = False) -> None:
        if path == refused:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", stubborn)
    monkeypatch.setattr("glob.glob", lambda *_, **__: sorted(path.name for path in tmp_path.iterdir()))
    err = (
        f"CommandError: Cache 'default' cannot be cleared: [Errno 13] Permission denied: '{refused}' (2 entries went "
        "before; run it again). Start its server, or check CACHES['default'].\n"
    )
    assert run("clear_cache", "--expired") == ("", err, 69)
    assert list(tmp_path.iterdir()) == [refused]


def test_a_server_that_is_gone_is_one_line(run: Run, url: str, settings: Any) -> None:
    port = free_port()
    configure(settings, f"redis://127.0.0.1:{port}/1")
    err = (
        f"CommandError: Cache 'default' cannot be cleared: Error 111 connecting to 127.0.0.1:{port}. "
        "Connection refused. Start its server, or check CACHES['default'].\n"
    )
    for flags in ([], ["--prefix", "x"], ["--dry-run"]):
        assert run("clear_cache", *flags) == ("", err, 69)


@pytest.mark.django_db
def test_the_scheduled_task_goes_by_prefix_where_the_database_is_shared(client: Any, url: str, settings: Any) -> None:
    configure(settings, f"{url}/0", KEY_PREFIX="shop")
    queue_tasks(url, 5)
    caches["default"].set("a", 1)
    assert tasks.clear_cache.name == "maintenance.clear_cache"
    (step,) = app.tasks["maintenance.clear_cache"].apply().get()["caches"]
    assert (step["alias"], step["prefix"], step["keys"]) == ("default", "shop", 1)
    assert client.llen("celery") == 5


@pytest.mark.django_db
def test_the_scheduled_task_can_cull_every_cache(url: str, settings: Any, tmp_path: Path) -> None:
    configure(settings, f"{url}/0")
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {**settings.CACHES, "files": {"BACKEND": backend, "LOCATION": tmp_path}}
    caches["files"].set("old", 1, timeout=-1)
    answer = app.tasks["maintenance.clear_cache"].apply(kwargs={"expired": True}).get()
    assert {one["alias"]: one["deleted"] for one in answer["caches"]} == {"default": None, "local": None, "files": 1}
