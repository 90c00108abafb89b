"""opsproject's settings come from the environment; a wrong value is one line that names the variable."""

import os
import runpy
import secrets
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from maintenance.schedules import MAINTENANCE_SCHEDULE
from opsproject.environment import VARIABLES
from tests.processes import ROOT

Evaluate = Callable[..., dict[str, Any]]
KEY = secrets.token_urlsafe(50)
PRODUCTION = {
    "DEBUG": "",
    "SECRET_KEY": KEY,
    "ALLOWED_HOSTS": "ops.example.com, www.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://ops.example.com",
    "REDIS_URL": "redis://:s3cr3t@cache.example.com:6379/3",
}


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluate:
    """Return the settings that an environment makes, evaluated anew."""

    def run(**env: str) -> dict[str, Any]:
        for variable in VARIABLES:  # an empty one counts as unset, and keeps .env from setting it
            monkeypatch.setenv(variable.name, "")
        for name, value in {"VAR_DIR": str(tmp_path / "var"), **env}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "opsproject/settings.py"))

    return run


def manage(*args: str, **env: str) -> tuple[str, str, int]:
    """Run manage.py with these variables and no others of the project's."""
    empty = {variable.name: "" for variable in VARIABLES if variable.name != "VAR_DIR"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *args],
        env={**os.environ, **empty, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout, done.stderr, done.returncode


# --- Through the door


@pytest.mark.parametrize(
    ("env", "line"),
    [
        (
            {},
            "SECRET_KEY is required. Set it to 50 random characters, or set DEBUG=1 on your own machine.",
        ),
        ({"DEBUG": "maybe"}, "DEBUG='maybe' is not a flag: write 1 or 0."),
        (
            {"DEBUG": "1", "DATABASE_URL": "postgres://ops:s3cr3t@db.example.com:port/ops"},
            "DATABASE_URL is malformed: its host or port cannot be read, or its password needs %-encoding (@ is %40, "
            "/ is %2F, # is %23). Write postgres://user:password@host:5432/name, mysql://… or sqlite:///path.",
        ),
        (
            {"DEBUG": "1", "REDIS_URL": "cache.example.com:6379"},
            "REDIS_URL is malformed: it is not a URL. Write redis://:password@host:6379/0, rediss://…, "
            "unix:///path/to/socket?db=0 or amqp://user:password@host//.",
        ),
    ],
    ids=["no secret key", "a wrong flag", "a wrong database", "a wrong broker"],
)
def test_a_wrong_variable_is_one_line_and_status_2(env: dict[str, str], line: str) -> None:
    assert manage("check", **env) == ("", f"manage.py: {line}\n", 2)


def test_a_var_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    assert manage("check", DEBUG="1", VAR_DIR=str(file / "var")) == (
        "",
        f"manage.py: The folder '{file}/var' of the database cannot be made: Not a directory. "
        "Make it writable, or set VAR_DIR or DATABASE_URL.\n",
        2,
    )


def test_check_deploy_is_clean_with_a_hosts_variables() -> None:
    assert manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION) == (
        "System check identified no issues (0 silenced).\n",
        "",
        0,
    )


# --- Values


@pytest.mark.parametrize(
    ("name", "wrong", "expected"),
    [
        ("SECURE_SSL_REDIRECT", "2", "a flag: write 1 or 0"),
        ("SECURE_HSTS_SECONDS", "year", "a whole number from 0 up"),
        ("SECURE_HSTS_SECONDS", "-1", "a whole number from 0 up"),
        ("CONN_MAX_AGE", "1.5", "a whole number from 0 up"),
        ("DATABASE_CONNECTIONS", "-1", "a whole number from 0 up"),
        ("BACKUP_KEEP_LAST", "0", "a whole number from 1 up"),
        ("CSRF_TRUSTED_ORIGINS", "ops.example.com", "a list of origins such as https://ops.example.com"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("LANGUAGE_CODE", "xx-yy", "one of Django's languages, such as en-us or de"),
    ],
)
def test_a_wrong_value_names_its_variable(evaluate: Evaluate, name: str, wrong: str, expected: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        evaluate(**PRODUCTION | {name: wrong})
    assert str(refused.value) == f"{name}={wrong!r} is not {expected}."


@pytest.mark.parametrize(
    ("name", "wrong", "line"),
    [
        ("TIME_ZONE", "Mars/Base", "TIME_ZONE='Mars/Base' is not a known time zone, such as Europe/Berlin."),
        ("TIME_ZONE", "../etc", "TIME_ZONE='../etc' is not a known time zone, such as Europe/Berlin."),
        (
            "CELERY_WORKER_CONCURRENCY",
            "0",
            "CELERY_WORKER_CONCURRENCY='0' is not a number from 1 up or auto.",
        ),
        (
            "CELERY_WORKER_CONCURRENCY",
            "many",
            "CELERY_WORKER_CONCURRENCY='many' is not a number from 1 up or auto.",
        ),
    ],
)
def test_a_value_without_meaning_is_refused(evaluate: Evaluate, name: str, wrong: str, line: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        evaluate(**PRODUCTION | {name: wrong})
    assert str(refused.value) == line


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CACHE_URL", "EMAIL_URL"])
@pytest.mark.parametrize(
    "wrong", ["nonsense://u:s3cr3t@host/0", "redis://:s3cr3t@host:port/0", "postgres://u:s3cr3t@[host/x", "s3cr3t"]
)
def test_no_wrong_url_shows_its_password(evaluate: Evaluate, name: str, wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        evaluate(**PRODUCTION | {name: wrong})
    assert str(refused.value).startswith(name)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("key", ["$HOME/of-secrets", "a=b c'd\"e"])
def test_a_secret_is_taken_as_it_is(evaluate: Evaluate, key: str) -> None:
    assert evaluate(**PRODUCTION | {"SECRET_KEY": key})["SECRET_KEY"] == key


def test_production_is_the_default(evaluate: Evaluate) -> None:
    found = evaluate(**PRODUCTION)
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == ["ops.example.com", "www.example.com"]
    assert found["SECURE_SSL_REDIRECT"] is True
    assert found["SESSION_COOKIE_SECURE"] is True
    assert found["MAINTENANCE"]["BACKUPS"] == {"KEEP_LAST": 14, "RECIPIENTS": [], "IDENTITY": None}
    assert found["CELERY_BEAT_SCHEDULE"] == MAINTENANCE_SCHEDULE


def test_development_shows_work_every_minute(evaluate: Evaluate) -> None:
    found = evaluate(DEBUG="1")
    assert "SECURE_SSL_REDIRECT" not in found
    assert found["MAINTENANCE"]["BACKUPS"] == {"KEEP_LAST": 5, "RECIPIENTS": [], "IDENTITY": None}
    schedule = found["CELERY_BEAT_SCHEDULE"]
    assert schedule["examples.add"]["schedule"] == 30.0
    every_minute = {
        name for name, entry in schedule.items() if str(entry["schedule"]).startswith("<crontab: * * * * *")
    }
    assert every_minute == {"maintenance.backup", "maintenance.clear_cache"}


# --- Database, broker, cache


def test_the_database_is_sqlite_in_the_var_folder(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate(DEBUG="1")["DATABASES"]["default"] == {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path / "var/db.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def test_the_cache_is_the_database_after_the_brokers(evaluate: Evaluate) -> None:
    found = evaluate(**PRODUCTION)
    assert found["CELERY_BROKER_URL"] == "redis://:s3cr3t@cache.example.com:6379/3"
    assert found["CACHES"]["default"]["LOCATION"] == "redis://:s3cr3t@cache.example.com:6379/4"


def test_one_redis_database_is_shared_under_a_prefix(evaluate: Evaluate) -> None:
    cache = evaluate(**PRODUCTION, REDIS_SINGLE_DATABASE="1")["CACHES"]["default"]
    assert (cache["LOCATION"], cache["KEY_PREFIX"]) == ("redis://:s3cr3t@cache.example.com:6379/3", "opsproject")


def test_the_cache_may_have_its_own_redis(evaluate: Evaluate) -> None:
    cache = evaluate(**PRODUCTION, CACHE_URL="redis://other.example.com/0")["CACHES"]["default"]
    assert cache["LOCATION"] == "redis://other.example.com/0"


@pytest.mark.parametrize(("verify", "mode"), [("", ssl.CERT_REQUIRED), ("0", ssl.CERT_NONE)])
def test_a_self_signed_redis_is_accepted_when_told(evaluate: Evaluate, verify: str, mode: ssl.VerifyMode) -> None:
    found = evaluate(**PRODUCTION | {"REDIS_URL": "rediss://:p@host:6380/0", "REDIS_SSL_VERIFY": verify})
    assert found["CELERY_BROKER_USE_SSL"] == {"ssl_cert_reqs": mode}
    assert ("ssl_cert_reqs" in found["CACHES"]["default"]["OPTIONS"]) is (mode is ssl.CERT_NONE)


def test_celerys_own_variable_wins_over_redis(evaluate: Evaluate) -> None:
    found = evaluate(**PRODUCTION, CELERY_BROKER_URL="amqp://u:p@rabbit.example.com//")
    assert found["CELERY_BROKER_URL"] == "amqp://u:p@rabbit.example.com//"
    assert found["CELERY_BROKER_TRANSPORT_OPTIONS"] == {"confirm_publish": True}
    assert found["CACHES"]["default"]["LOCATION"] == "redis://:s3cr3t@cache.example.com:6379/4"


def test_a_redis_broker_neither_blocks_for_ever_nor_hands_out_twice(evaluate: Evaluate) -> None:
    found = evaluate(**PRODUCTION)
    options = found["CELERY_BROKER_TRANSPORT_OPTIONS"]
    assert options["visibility_timeout"] > found["CELERY_TASK_TIME_LIMIT"]
    assert {name: options[name] for name in ("socket_timeout", "socket_connect_timeout", "socket_keepalive")} == {
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
    assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (2, 1)


# --- Celery


def test_celery_follows_its_guide(evaluate: Evaluate) -> None:
    found = evaluate(DEBUG="1", TIME_ZONE="Europe/Berlin", CELERY_WORKER_CONCURRENCY="3")
    expected = {
        "CELERY_TIMEZONE": "Europe/Berlin",
        "CELERY_RESULT_BACKEND": "maintenance.results.backend:DatabaseBackend",
        "CELERY_RESULT_EXTENDED": True,
        "CELERY_RESULT_EXPIRES": timedelta(days=7),
        "CELERY_TASK_TRACK_STARTED": True,
        "CELERY_ACCEPT_CONTENT": ["json"],
        "CELERY_RESULT_ACCEPT_CONTENT": ["json"],
        "CELERY_TASK_SERIALIZER": "json",
        "CELERY_RESULT_SERIALIZER": "json",
        "CELERY_TASK_CREATE_MISSING_QUEUES": False,
        "CELERY_WORKER_CONCURRENCY": 3,
        "CELERY_BEAT_SCHEDULER": "maintenance.beat:Scheduler",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["CELERY_TASK_SOFT_TIME_LIMIT"] < found["CELERY_TASK_TIME_LIMIT"]
    assert [queue.name for queue in found["CELERY_TASK_QUEUES"]] == ["default", "heavy_tasks"]
    assert found["CELERY_TASK_ROUTES"]["maintenance.backup"] == {"queue": "heavy_tasks"}
    assert "CELERY_QUEUES" not in found
