"""URLs from the environment: the settings that they become, and the one line that a wrong one becomes."""

import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from opsproject import connections
from opsproject.environment import BASE_DIR

POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "ops",
    "USER": "joe",
    "PASSWORD": "",
    "HOST": "db.example.com",
    "PORT": 5432,
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
}


def database(url: str, default: Path = Path("/nowhere/db.sqlite3")) -> dict[str, Any]:
    return connections.database(url, default=default, conn_max_age=60)


@pytest.mark.parametrize(
    ("url", "changes"),
    [
        ("postgres://joe@db.example.com:5432/ops", {}),
        ("postgresql://joe@db.example.com:5432/ops?conn_max_age=0", {"CONN_MAX_AGE": 0, "OPTIONS": {}}),
        ("postgres://joe:p%40ss%2Fw@db.example.com:5432/ops", {"PASSWORD": "p@ss/w"}),
        (
            "postgres://joe@one:5432,two:5433/ops?sslmode=require",
            {"HOST": "one,two", "PORT": "5432,5433", "OPTIONS": {"sslmode": "require"}},
        ),
        ("mysql://joe@db.example.com:5432/ops", {"ENGINE": "django.db.backends.mysql"}),
    ],
)
def test_a_database_url_becomes_django_settings(url: str, changes: dict[str, Any]) -> None:
    assert database(url) == {**POSTGRES, **changes}


@pytest.mark.parametrize("url", ["", "sqlite:///{folder}/db.sqlite3"])
def test_sqlite_runs_in_wal_mode_and_begins_immediately(url: str, tmp_path: Path) -> None:
    default = tmp_path / "new" / "db.sqlite3"
    found = database(url.format(folder=tmp_path / "new"), default)
    assert found == {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": default,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
    assert default.parent.is_dir()


def test_a_relative_sqlite_path_belongs_to_the_project_wherever_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert database("sqlite:///var/db.sqlite3")["NAME"] == BASE_DIR / "var/db.sqlite3"


def test_a_folder_that_cannot_be_made_for_sqlite_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImproperlyConfigured) as caught:
        database("", tmp_path / "file" / "db.sqlite3")
    assert str(caught.value) == (
        f"The folder '{tmp_path}/file' of the database cannot be made: File exists. "
        "Make it writable, or set VAR_DIR or DATABASE_URL."
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ops", "is malformed: it is not a URL."),
        ("postgres", "is malformed: it is not a URL."),
        ("postgres:", "is malformed: it is not a URL."),
        ("postgres:joe:s3cret@host/ops", "is malformed: it is not a URL."),
        ("://joe:s3cret@host/ops", "is malformed: it is not a URL."),
        ("postgrez://joe:s3cret@host/ops", "has the unknown scheme 'postgrez'."),
        ("postgres://", "names no database"),
        ("postgres://joe:s3cret@host", "names no database"),
        ("postgres://joe:s3cret@host/", "names no database"),
        ("postgres://joe:s3cret#1@host/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:#s3cret@host/ops", "names no database, or its password needs %-encoding"),
        ("postgres://joe:s3cret/1@host/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:s3cret?1@host/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:s3cret@host:port/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:s3cret@host:99999/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:s3cret@[::1/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:s[3cret@host/ops", "is malformed: its host or port cannot be read"),
        ("postgres://joe:s3cret@host/ops?conn_max_age=long", "has a conn_max_age that is not a number of seconds."),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://var/db.sqlite3", "names no file"),
        ("sqlite://:memory:", "is a database in memory, which no two processes share. Name a file."),
        ("sqlite:///:memory:", "is a database in memory, which no two processes share. Name a file."),
    ],
)
def test_a_malformed_database_url_is_one_line_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        database(url)
    assert str(caught.value).startswith(f"DATABASE_URL {problem}")
    assert "\n" not in str(caught.value)
    # A piece of a password that was taken for a port must not show up as the cause either.
    shown = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__cause__)
    assert "cret" not in shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:pw@host:6379/3", "redis://:pw@host:6379/3"),
        ("rediss://host/0?ssl_cert_reqs=none", "rediss://host/0?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=2", "redis+socket:///run/redis.sock?virtual_host=2"),
        ("unix://:pw@/run/redis.sock?db=2", "redis+socket://:pw@/run/redis.sock?virtual_host=2"),
        ("valkey://host/0", "redis://host/0"),
        ("valkeys://host/0", "rediss://host/0"),
    ],
)
def test_a_redis_url_becomes_a_broker_url(url: str, expected: str) -> None:
    assert connections.broker("REDIS_URL", url) == expected


def test_several_brokers_are_checked_one_by_one() -> None:
    both = "amqp://joe:pw@one:5672//;amqp://joe:pw@two:5672//"
    assert connections.broker("CELERY_BROKER_URL", both) == both
    with pytest.raises(ImproperlyConfigured, match=r"^CELERY_BROKER_URL has the unknown scheme 'ampq'"):
        connections.broker("CELERY_BROKER_URL", "amqp://one//;ampq://two//")


def test_celery_reads_its_own_variable_so_that_it_must_know_the_scheme() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        connections.broker("CELERY_BROKER_URL", "unix://:s3cret@/run/redis.sock")
    assert str(caught.value) == (
        "CELERY_BROKER_URL is read by Celery itself, which does not know the scheme 'unix'. "
        "Write redis+socket:///path?virtual_host=0 or redis://host:6379/0, or set REDIS_URL instead."
    )


@pytest.mark.parametrize("url", ["localhost:6379", "redis", "http://:s3cret@host/", "redis://:s3cret/@host:1/0"])
def test_a_malformed_broker_url_is_one_line_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        connections.broker("REDIS_URL", url)
    assert str(caught.value).startswith("REDIS_URL ")
    assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:pw@host:6379", "redis://:pw@host:6379/1"),
        ("redis://host:6379/", "redis://host:6379/1"),
        ("redis://host:6379/4", "redis://host:6379/5"),
        ("rediss://host/0?ssl_cert_reqs=none", "rediss://host/1?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=2"),
    ],
)
def test_the_cache_lives_in_the_next_database(url: str, expected: str) -> None:
    assert connections.next_database(url) == expected


@pytest.mark.parametrize("url", ["redis://:s3cret@host/zero", "redis://host/-1", "redis://host/1/2", "unix:///s?db=x"])
def test_a_database_that_is_no_number_is_one_line(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        connections.next_database(url)
    assert str(caught.value) == (
        "REDIS_URL names a database that is not a number. "
        "Write redis://:password@host:6379/0, rediss://… or unix:///path/to/socket?db=0."
    )


@pytest.mark.parametrize(
    ("url", "verify", "location", "options"),
    [
        ("redis://h/1", True, "redis://h/1", {"socket_timeout": 5, "socket_connect_timeout": 5}),
        ("valkey://h/1", True, "redis://h/1", {"socket_timeout": 5, "socket_connect_timeout": 5}),
        ("rediss://h/1", True, "rediss://h/1", {"socket_timeout": 5, "socket_connect_timeout": 5}),
        (
            "rediss://h/1?ssl_cert_reqs=CERT_NONE",
            False,
            "rediss://h/1?ssl_cert_reqs=none",
            {"socket_timeout": 5, "socket_connect_timeout": 5, "ssl_cert_reqs": None},
        ),
        ("unix:///run/r.sock?db=1", True, "unix:///run/r.sock?db=1", {"socket_timeout": 5}),
    ],
)
def test_a_redis_url_becomes_a_cache(url: str, verify: bool, location: str, options: dict[str, Any]) -> None:
    assert connections.redis_cache("CACHE_URL", url, prefix="ops", verify=verify) == {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": location,
        "KEY_PREFIX": "ops",
        "OPTIONS": options,
    }


def test_a_cache_elsewhere_than_redis_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^CACHE_URL has the unknown scheme 'memcache'"):
        connections.redis_cache("CACHE_URL", "memcache://host", prefix="", verify=True)


@pytest.mark.parametrize(
    ("url", "verify", "expected"),
    [
        ("redis://host/0", False, None),
        ("amqp://host//", False, None),
        ("rediss://host/0", True, {"ssl_cert_reqs": ssl.CERT_REQUIRED}),
        ("rediss://host/0", False, {"ssl_cert_reqs": ssl.CERT_NONE}),
        ("amqps://host//", False, {"cert_reqs": ssl.CERT_NONE}),
    ],
)
def test_a_tls_broker_is_verified_unless_told_otherwise(url: str, verify: bool, expected: object) -> None:
    assert connections.broker_tls(url, verify=verify) == expected


def test_the_filesystem_transports_folders_are_made_with_the_settings(tmp_path: Path) -> None:
    options = connections.filesystem(tmp_path / "broker")
    assert options == {
        "data_folder_in": f"{tmp_path}/broker/queues",
        "data_folder_out": f"{tmp_path}/broker/queues",
        "control_folder": f"{tmp_path}/broker/control",
    }
    assert sorted(path.name for path in (tmp_path / "broker").iterdir()) == ["control", "queues"]


def test_folders_that_cannot_be_made_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text("in the way")
    with pytest.raises(ImproperlyConfigured) as caught:
        connections.filesystem(tmp_path / "broker")
    assert str(caught.value) == (
        f"Cannot write '{tmp_path}/broker': File exists. Make it writable, or set VAR_DIR or REDIS_URL."
    )


@pytest.mark.parametrize("url", ["smtp", "smtp://joe:s3cret/@host:587", "pop3://host"])
def test_a_malformed_email_url_is_one_line_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        connections.email(url)
    assert str(caught.value) == "EMAIL_URL is malformed. Write smtp+tls://user:password@host:587."
    assert caught.value.__cause__ is None
