"""The rules: each finds its fault in a project that is otherwise good, and nothing in the good one."""

import inspect
import re
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab
from django.test import override_settings
from kombu import Exchange, Queue

from maintenance import conf
from maintenance.health import rules
from maintenance.health.rules import RULES, Facts, Trouble

PROCFILE = """
release: python manage.py migrate --no-input && python manage.py sync_schedules
web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT
worker: python manage.py run_worker -Q default
beat: python manage.py run_beat
"""
TRANSPORT = {
    "visibility_timeout": 7200,
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
}
POSTGRES: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "shop",
    "HOST": "db",
    "CONN_HEALTH_CHECKS": True,
}
SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": "/var/shop.sqlite3",
    "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
}
REMOTE = {"BACKEND": "storages.backends.s3.S3Storage"}
ENTRIES = {
    "backup": {"task": "maintenance.backup", "schedule": crontab(hour="2", minute="0")},
    "verify": {"task": "maintenance.verify_backup", "schedule": crontab(hour="5", minute="0")},
    "purge": {"task": "maintenance.purge_results", "schedule": crontab(hour="3", minute="0")},
    "monitor": {"task": "maintenance.monitor", "schedule": crontab(minute="*/5"), "options": {"expires": 240}},
}
OURS: dict[str, Any] = {
    "BACKUPS": {"KEEP_LAST": 14, "DESTINATIONS": ["offsite"], "RECIPIENTS": ["age1x"]},
    "HEALTH": {
        "WEBHOOKS": ["https://hooks.example.com/x"],
        "PING_URL": "https://ping.example.com/x",
        "TOKEN": "0123456789abcdef",
    },
}
# What django.conf.settings and the Celery settings of a project without any fault are.
GOOD: dict[str, Any] = {
    "DEBUG": False,
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR",
    "INSTALLED_APPS": ["django_celery_beat", "django_celery_results.apps.CeleryResultConfig", "maintenance"],
    "USE_TZ": True,
    "TIME_ZONE": "Europe/Berlin",
    "DATABASES": {"default": POSTGRES},
    "CACHES": {"default": {"LOCATION": "redis://redis/1"}},
    "STORAGES": {"default": REMOTE, "offsite": REMOTE},
    "SESSION_ENGINE": "django.contrib.sessions.backends.db",
    "LOGGING": {"root": {"level": "INFO"}},
    "ADMINS": ["ops@example.com"],
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "EMAIL_HOST": "smtp.example.com",
    "EMAIL_TIMEOUT": 10,
    "SERVER_EMAIL": "ops@example.com",
    "CELERY_BROKER_URL": "redis://:s3cret@redis:6379/0",
    "CELERY_BROKER_TRANSPORT_OPTIONS": TRANSPORT,
    "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
    "CELERY_ACCEPT_CONTENT": ["json"],
    "CELERY_TIMEZONE": "Europe/Berlin",
    "CELERY_TASK_TIME_LIMIT": 1800,
    "CELERY_TASK_SOFT_TIME_LIMIT": 1500,
    "CELERY_TASK_DEFAULT_QUEUE": "default",
    "CELERY_TASK_QUEUES": [Queue("default")],
    "CELERY_TASK_CREATE_MISSING_QUEUES": False,
    "CELERY_TASK_TRACK_STARTED": True,
    "CELERY_RESULT_BACKEND": "maintenance.results.backend:DatabaseBackend",
    "CELERY_RESULT_EXTENDED": True,
    "CELERY_WORKER_MAX_TASKS_PER_CHILD": 1000,
    "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,
    "CELERY_WORKER_HIJACK_ROOT_LOGGER": False,
    "CELERY_BEAT_SCHEDULER": "maintenance.beat:Scheduler",
    "CELERY_BEAT_SCHEDULE": ENTRIES,
    "MAINTENANCE": OURS,
    "PROCFILE": PROCFILE,
    "ENVIRON": {"MAINTENANCE_HEALTH_TOKEN": "t"},
    "TASKS": {"shop.pay": {}},
}


def nothing() -> None:
    """Do what a task does here."""


def facts(**given: Any) -> Facts:
    """Return the facts of the good project with what is given instead; None takes a setting away."""
    chosen = {name: value for name, value in {**GOOD, **given}.items() if value is not None}
    ours, procfile = chosen.pop("MAINTENANCE", {}), chosen.pop("PROCFILE", None)
    environ, tasks, namespace = chosen.pop("ENVIRON", {}), chosen.pop("TASKS"), chosen.pop("NAMESPACE", "CELERY")
    settings = SimpleNamespace(**chosen)
    app: Any = Celery("shop", set_as_current=False, fixups=[])
    app.config_from_object(settings, namespace=namespace)
    for name, options in tasks.items():
        app.task(name=name, shared=False, **options)(nothing)
    app.finalize(auto=True)
    for name in [each for each in app.tasks if not each.startswith("celery.") and each not in tasks]:
        del app.tasks[name]  # shared ones, of whatever module other tests have imported
    with override_settings(MAINTENANCE=ours):
        return Facts(app=app, settings=settings, ours=conf.get(), environ=environ, procfile=procfile)


def found(**given: Any) -> dict[str, tuple[Trouble, ...]]:
    looked = rules.look(facts(**given), deploy=True)
    assert {each.rule.id: each.unknown for each in looked if each.unknown} == {}
    return {each.rule.id: each.troubles for each in looked if each.troubles}


def transport(**given: Any) -> dict[str, Any]:
    return {"CELERY_BROKER_TRANSPORT_OPTIONS": {**TRANSPORT, **given}}


def amqp(**given: Any) -> dict[str, Any]:
    options = {
        "CELERY_BROKER_URL": "amqp://shop:s3cret@rabbit//",
        "CELERY_BROKER_TRANSPORT_OPTIONS": {"confirm_publish": True},
    }
    return {**options, **given}


def entries(**given: Any) -> dict[str, Any]:
    return {"CELERY_BEAT_SCHEDULE": {**ENTRIES, **given}}


def backups(**given: Any) -> dict[str, Any]:
    return {"MAINTENANCE": {**OURS, "BACKUPS": {**OURS["BACKUPS"], **given}}}


def without(key: str) -> dict[str, Any]:
    """Return MAINTENANCE without a key of HEALTH."""
    return {**OURS, "HEALTH": {name: value for name, value in OURS["HEALTH"].items() if name != key}}


def lines(text: str) -> dict[str, Any]:
    """Return the Procfile with these processes instead of the ones of the same name, ``name:`` taking one away."""
    kept = dict(line.split(": ", 1) for line in PROCFILE.strip().splitlines())
    kept |= {name: command for name, _, command in (line.partition(":") for line in text.splitlines())}
    return {"PROCFILE": "\n".join(f"{name}: {command.strip()}" for name, command in kept.items() if command)}


def sqlite(**options: Any) -> dict[str, Any]:
    return {"DATABASES": {"default": {**SQLITE, "OPTIONS": {**SQLITE["OPTIONS"], **options}}}}


def postgres(**given: Any) -> dict[str, Any]:
    return {"DATABASES": {"default": {**POSTGRES, **given}}}


GREEN = {"CELERY_TASK_TIME_LIMIT": None, "CELERY_TASK_SOFT_TIME_LIMIT": None, "CELERY_WORKER_MAX_TASKS_PER_CHILD": None}
GREEN_FINDS = {"no-time-limit"}
EVENTLET = lines("worker: python manage.py run_worker -Q default --pool eventlet -c 100")

# The rule, what is wrong, what it says, and which other rules see the same.
FAULTS: list[tuple[str, dict[str, Any], str, set[str]]] = [
    ("pickle-accepted", {"CELERY_ACCEPT_CONTENT": ["json", "pickle"]}, "Workers accept pickle.", set()),
    (
        "pickle-accepted",
        {"CELERY_ACCEPT_CONTENT": ["json", "application/x-python-serialize"]},
        "Workers accept pickle.",
        set(),
    ),
    ("pickle-results-accepted", {"CELERY_RESULT_ACCEPT_CONTENT": ["pickle"]}, "Results are accepted as pickle.", set()),
    ("pickle-sent", {"CELERY_RESULT_SERIALIZER": "pickle"}, "CELERY_RESULT_SERIALIZER is pickle.", set()),
    (
        "serializer-not-accepted",
        {"CELERY_TASK_SERIALIZER": "yaml"},
        "CELERY_TASK_SERIALIZER is yaml, and workers accept json.",
        set(),
    ),
    ("debug-on", {"DEBUG": True}, "DEBUG is on.", set()),
    (
        "secret-key-weak",
        {"SECRET_KEY": "django-insecure-" + GOOD["SECRET_KEY"]},
        "SECRET_KEY is short, monotonous, or startproject's.",
        set(),
    ),
    (
        "secret-key-weak",
        {"SECRET_KEY": GOOD["SECRET_KEY"][:49]},
        "SECRET_KEY is short, monotonous, or startproject's.",
        set(),
    ),
    ("secret-key-weak", {"SECRET_KEY": "abcd" * 20}, "SECRET_KEY is short, monotonous, or startproject's.", set()),
    (
        "broker-guest",
        amqp(CELERY_BROKER_URL="amqp://guest:guest@rabbit//"),
        "The broker amqp://guest:**@rabbit// is used as guest.",
        set(),
    ),
    (
        "broker-no-password",
        {"CELERY_BROKER_URL": "redis://redis:6379/0"},
        "The broker redis://redis:6379/0 asks for no password.",
        set(),
    ),
    (
        "broker-plain-text",
        {"CELERY_BROKER_URL": "redis://:s3cret@redis.example.com/0"},
        "The broker redis://:**@redis.example.com/0 is reached without TLS.",
        set(),
    ),
    (
        "broker-plain-text",
        {"CELERY_BROKER_URL": "redis://:s3cret@8.8.8.8/0"},
        "The broker redis://:**@8.8.8.8/0 is reached without TLS.",
        set(),
    ),
    (
        "tls-unverified",
        {"CELERY_BROKER_URL": "rediss://:s3cret@r.example.com/0?ssl_cert_reqs=none"},
        "The broker's certificate is not verified.",
        set(),
    ),
    ("worker-as-root", {"ENVIRON": {"C_FORCE_ROOT": "1"}}, "C_FORCE_ROOT is set.", set()),
    (
        "flower-open",
        lines("flower: celery -A shop flower --port=$PORT"),
        "The Procfile's flower is open to everybody.",
        {"flower-without-events"},
    ),
    (
        "flower-api-open",
        {"ENVIRON": {"FLOWER_UNAUTHENTICATED_API": "true"}},
        "FLOWER_UNAUTHENTICATED_API is on.",
        set(),
    ),
    (
        "password-in-argv",
        lines("flower: celery -A shop flower --basic-auth=ann:s3cret"),
        "The Procfile's flower holds a password.",
        {"flower-without-events"},
    ),
    (
        "password-in-argv",
        lines("worker: celery -A shop -b redis://:s3cret@redis/0 worker -Q default"),
        "The Procfile's worker holds a password.",
        {"worker-not-planned"},
    ),
    (
        "broker-not-set",
        {"CELERY_BROKER_URL": None, "CELERY_BROKER_TRANSPORT_OPTIONS": None},
        "No broker is set.",
        set(),
    ),
    ("broker-in-memory", {"CELERY_BROKER_URL": "memory://"}, "The broker is memory:///.", set()),
    ("broker-timeouts", transport(socket_timeout=None), "The broker's transport options lack socket_timeout.", set()),
    (
        "broker-timeouts",
        {"CELERY_BROKER_TRANSPORT_OPTIONS": {"socket_keepalive": True}, "CELERY_TASK_TIME_LIMIT": 1801},
        "The broker's transport options lack socket_timeout and socket_connect_timeout.",
        set(),
    ),
    (
        "publish-retry-unbounded",
        {"CELERY_TASK_PUBLISH_RETRY_POLICY": {"max_retries": None}},
        "Sending is retried for ever, up to 1s apart.",
        set(),
    ),
    (
        "publish-retry-unbounded",
        {"CELERY_TASK_PUBLISH_RETRY_POLICY": {"max_retries": 31, "interval_max": 1}},
        "Sending is retried 31 times, up to 1s apart.",
        set(),
    ),
    (
        "publish-not-confirmed",
        amqp(CELERY_BROKER_TRANSPORT_OPTIONS={}),
        "Messages are published without confirms.",
        set(),
    ),
    (
        "visibility-timeout-short",
        transport(visibility_timeout=1800),
        "The broker hands a task out again after 1800s (visibility_timeout), "
        "but it may run for 1800s (CELERY_TASK_TIME_LIMIT).",
        set(),
    ),
    (
        "visibility-timeout-short",
        {"TASKS": {"shop.pay": {"time_limit": 9000, "soft_time_limit": 8000}}},
        "The broker hands a task out again after 7200s (visibility_timeout), but it may run for 9000s (task shop.pay).",
        set(),
    ),
    (
        "visibility-timeout-eta",
        {"TASKS": {"shop.pay": {"default_retry_delay": 7200}}},
        "Task shop.pay waits for 7200s, longer than visibility_timeout (7200s).",
        set(),
    ),
    (
        "visibility-timeout-eta",
        entries(
            late={
                "task": "shop.pay",
                "schedule": crontab(hour="1", minute="0"),
                "options": {"countdown": 8000, "expires": 1},
            }
        ),
        "Schedule late waits for 8000s, longer than visibility_timeout (7200s).",
        set(),
    ),
    (
        "broker-is-cache",
        {"CACHES": {"default": {"LOCATION": "redis://redis:6379/0"}}},
        "The cache 'default' and the broker share the Redis database redis:6379/0.",
        set(),
    ),
    ("broker-pool-off", {"CELERY_BROKER_POOL_LIMIT": 0}, "The pool of connections is off.", set()),
    (
        "broker-start-retry-off",
        {"CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": False},
        "Workers do not wait for the broker at their start.",
        set(),
    ),
    ("broker-heartbeat-off", amqp(CELERY_BROKER_HEARTBEAT=0), "AMQP heartbeats are off.", set()),
    ("redis-keepalive-off", transport(socket_keepalive=False), "Nothing keeps the broker's connections alive.", set()),
    ("redis-fanout-shared", transport(fanout_prefix=False), "fanout_prefix is off.", set()),
    (
        "default-queue-undeclared",
        {"CELERY_TASK_DEFAULT_QUEUE": "celery"},
        "The default queue 'celery' is not among CELERY_TASK_QUEUES.",
        {"queue-unused"},
    ),
    (
        "queues-made-by-typos",
        {"CELERY_TASK_CREATE_MISSING_QUEUES": True},
        "Queues that are not declared are made silently.",
        set(),
    ),
    (
        "route-to-nowhere",
        {"CELERY_TASK_ROUTES": {"shop.*": {"queue": "havy"}}},
        "CELERY_TASK_ROUTES of shop.* goes to the queue 'havy', which is not declared.",
        set(),
    ),
    (
        "route-to-nowhere",
        entries(
            x={
                "task": "shop.pay",
                "schedule": crontab(hour="1", minute="0"),
                "options": {"queue": "havy", "expires": 1},
            }
        ),
        "The schedule 'x' goes to the queue 'havy', which is not declared.",
        set(),
    ),
    (
        "queue-unused",
        {"CELERY_TASK_QUEUES": [Queue("default"), Queue("heavy")], **lines("worker: python manage.py run_worker")},
        "No task is routed to the queue 'heavy'.",
        set(),
    ),
    (
        "queue-without-worker",
        {"CELERY_TASK_QUEUES": [Queue("default"), Queue("heavy")], "CELERY_TASK_ROUTES": {"shop.*": "heavy"}},
        "No worker of the Procfile consumes the queue 'heavy'.",
        set(),
    ),
    (
        "queue-not-durable",
        amqp(CELERY_TASK_QUEUES=[Queue("default", durable=False)]),
        "The queue 'default' is not durable.",
        set(),
    ),
    ("queue-not-durable", amqp(CELERY_TASK_DEFAULT_DELIVERY_MODE="transient"), "Messages are transient.", set()),
    (
        "no-time-limit",
        {"CELERY_TASK_TIME_LIMIT": None, "CELERY_TASK_SOFT_TIME_LIMIT": None},
        "1 task has no time limit, shop.pay for one.",
        set(),
    ),
    ("no-soft-time-limit", {"CELERY_TASK_SOFT_TIME_LIMIT": None}, "There is a hard limit (1800s) alone.", set()),
    (
        "soft-limit-too-late",
        {"CELERY_TASK_SOFT_TIME_LIMIT": 1800},
        "The soft limit (1800s) is not below the hard one (1800s).",
        set(),
    ),
    (
        "soft-limit-too-late",
        {"TASKS": {"shop.pay": {"soft_time_limit": 60, "time_limit": 60}}},
        "The soft limit (60s) of shop.pay is not below its hard one (60s).",
        set(),
    ),
    (
        "limits-ignored-by-pool",
        {**EVENTLET, "CELERY_WORKER_MAX_TASKS_PER_CHILD": None},
        "The pool eventlet of the Procfile's worker ignores the soft time limit and the time limit.",
        set(),
    ),
    (
        "recycling-ignored-by-pool",
        {**EVENTLET, **GREEN, "CELERY_WORKER_MAX_TASKS_PER_CHILD": 9},
        "The pool eventlet of the Procfile's worker ignores CELERY_WORKER_MAX_TASKS_PER_CHILD.",
        GREEN_FINDS,
    ),
    (
        "prefetch-hoards",
        {"CELERY_WORKER_PREFETCH_MULTIPLIER": None},
        "Each process reserves 4 tasks, and CELERY_TASK_TIME_LIMIT allows 30m.",
        set(),
    ),
    ("prefetch-unlimited", {"CELERY_WORKER_PREFETCH_MULTIPLIER": 0}, "Workers reserve without limit.", set()),
    (
        "green-pool-in-settings",
        {"CELERY_WORKER_POOL": "eventlet", **GREEN, **lines("worker: celery -A shop worker -Q default")},
        "CELERY_WORKER_POOL is eventlet.",
        {"worker-not-planned", *GREEN_FINDS},
    ),
    (
        "green-pool-unpatched",
        {**GREEN, **lines("worker: python manage.py celery worker -Q default -P gevent")},
        "The Procfile's worker starts gevent inside manage.py.",
        {"worker-not-planned", *GREEN_FINDS},
    ),
    ("never-recycled", {"CELERY_WORKER_MAX_TASKS_PER_CHILD": None}, "Worker processes are never replaced.", set()),
    ("always-eager", {"CELERY_TASK_ALWAYS_EAGER": True}, "CELERY_TASK_ALWAYS_EAGER is on.", set()),
    (
        "acks-late-but-lost",
        {"CELERY_TASK_ACKS_LATE": True, "CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS": True},
        "Tasks acknowledge late, but not when their process is lost.",
        set(),
    ),
    (
        "reject-without-acks-late",
        {"CELERY_TASK_REJECT_ON_WORKER_LOST": True},
        "CELERY_TASK_REJECT_ON_WORKER_LOST is on, and no task acknowledges late.",
        set(),
    ),
    (
        "failures-rejected",
        {"CELERY_TASK_ACKS_ON_FAILURE_OR_TIMEOUT": False},
        "Failed tasks are rejected, and Redis has no dead letters.",
        set(),
    ),
    (
        "runs-on-after-reconnect",
        {"CELERY_TASK_ACKS_LATE": True, "CELERY_TASK_REJECT_ON_WORKER_LOST": True},
        "Late acknowledged tasks go on when the connection is lost.",
        set(),
    ),
    (
        "logging-hijacked",
        {"CELERY_WORKER_HIJACK_ROOT_LOGGER": None},
        "LOGGING configures the root logger, and workers replace its handlers.",
        set(),
    ),
    ("flower-without-events", lines("flower: python manage.py run_flower"), "Workers send no events.", set()),
    (
        "events-pile-up",
        amqp(CELERY_WORKER_SEND_TASK_EVENTS=True, CELERY_EVENT_QUEUE_EXPIRES=0),
        "CELERY_EVENT_QUEUE_EXPIRES is off.",
        set(),
    ),
    (
        "worker-not-planned",
        lines("worker: celery -A shop worker -Q default"),
        "The Procfile's worker starts celery worker by itself.",
        set(),
    ),
    ("remote-control-off", {"CELERY_WORKER_ENABLE_REMOTE_CONTROL": False}, "Workers cannot be asked.", set()),
    ("sqlite-without-wal", sqlite(init_command=""), "The SQLite database 'default' is not set to WAL.", set()),
    ("sqlite-impatient", sqlite(timeout=5), "Writers of the SQLite database 'default' wait 5s at most.", set()),
    (
        "sqlite-deferred",
        sqlite(transaction_mode="DEFERRED"),
        "Transactions of the SQLite database 'default' are deferred.",
        set(),
    ),
    (
        "sqlite-on-passing-disk",
        {**sqlite(), "ENVIRON": {"DYNO": "web.1"}},
        "The database 'default' is an SQLite file on Heroku.",
        set(),
    ),
    (
        "stale-connections",
        postgres(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=False),
        "Connections to 'default' are kept and not checked.",
        set(),
    ),
    (
        "connections-kept-by-green-pools",
        {**EVENTLET, **GREEN, **postgres(CONN_MAX_AGE=None)},
        "Each eventlet task of the Procfile's worker may keep a connection to 'default' for ever.",
        GREEN_FINDS,
    ),
    (
        "pool-smaller-than-worker",
        {**EVENTLET, **GREEN, **postgres(OPTIONS={"pool": {"max_size": 99}})},
        "The Procfile's worker runs 100 tasks over 99 connections to 'default'.",
        GREEN_FINDS,
    ),
    (
        "concurrency-above-connections",
        {
            "MAINTENANCE": {**OURS, "WORKER": {"DATABASE_CONNECTIONS": 7}},
            **lines("worker: celery -A shop worker -Q default -c 8"),
        },
        "The Procfile's worker runs 8 tasks, and may take 7 connections.",
        {"worker-not-planned"},
    ),
    (
        "pgbouncer-cursors",
        postgres(PORT="6432"),
        "The database 'default' looks like a transaction pooler (db:6432).",
        set(),
    ),
    (
        "results-deleted-once",
        entries(purge={"task": "shop.pay", "schedule": crontab(hour="3", minute="0")}) | {"CELERY_RESULT_EXPIRES": 0},
        "Nobody deletes old results: their tables grow for ever.",
        set(),
    ),
    ("results-nowhere", {"CELERY_RESULT_BACKEND": None}, "There is no result backend.", set()),
    (
        "results-app-missing",
        {"INSTALLED_APPS": ["django_celery_beat", "maintenance"]},
        "Results go to maintenance.results.backend:DatabaseBackend, whose app is not installed.",
        set(),
    ),
    (
        "results-not-extended",
        {"CELERY_RESULT_EXTENDED": False},
        "Results are stored without name and arguments.",
        set(),
    ),
    ("results-lossy", {"CELERY_RESULT_BACKEND": "django-db"}, "Arguments are stored as their repr.", set()),
    ("results-by-message", {"CELERY_RESULT_BACKEND": "rpc://"}, "Results are messages (rpc).", set()),
    (
        "results-fill-redis",
        {"CELERY_RESULT_BACKEND": "redis://redis/2", "CELERY_RESULT_EXPIRES": 0},
        "Results in Redis never expire.",
        set(),
    ),
    (
        "failures-unseen",
        {"CELERY_TASK_IGNORE_RESULT": True},
        "CELERY_TASK_IGNORE_RESULT is on, for failures too.",
        set(),
    ),
    ("starts-unseen", {"CELERY_TASK_TRACK_STARTED": False}, "Results do not tell that a task began.", set()),
    ("zones-differ", {"CELERY_TIMEZONE": "UTC"}, "CELERY_TIMEZONE is UTC, and TIME_ZONE Europe/Berlin.", set()),
    ("naive-times", {"USE_TZ": False}, "USE_TZ is off.", set()),
    ("utc-off", {"CELERY_ENABLE_UTC": False}, "CELERY_ENABLE_UTC is off.", set()),
    (
        "two-beats-send-twice",
        {"CELERY_BEAT_SCHEDULER": "celery.beat:PersistentScheduler", **lines("beat: celery -A shop beat")},
        "Schedules are sent by celery.beat:PersistentScheduler.",
        {"results-deleted-once"},
    ),
    (
        "beat-app-missing",
        {"INSTALLED_APPS": ["django_celery_results", "maintenance"]},
        "The scheduler is maintenance.beat:Scheduler, whose app is not installed.",
        set(),
    ),
    (
        "schedules-pile-up",
        entries(often={"task": "shop.pay", "schedule": 30.0}),
        "The schedule 'often' is sent every 30s, and never expires.",
        set(),
    ),
    (
        "schedules-pile-up",
        entries(often={"task": "shop.pay", "schedule": crontab(minute="*/5")}),
        "The schedule 'often' is sent every 300s, and never expires.",
        set(),
    ),
    (
        "schedule-always-due",
        {
            **entries(x={"task": "shop.pay", "schedule": 0.5, "options": {"expires": 1}}),
            "CELERY_BEAT_SCHEDULER": "django_celery_beat.schedulers:DatabaseScheduler",
        },
        "The schedule 'x' is due every 0.5s.",
        {"results-deleted-once"},
    ),
    (
        "maintenance-not-scheduled",
        {"CELERY_BEAT_SCHEDULE": {"x": {"task": "shop.pay", "schedule": crontab(hour="1", minute="0")}}},
        "No maintenance task is scheduled.",
        {"backups-not-scheduled", "monitor-not-scheduled"},
    ),
    (
        "old-queues-name",
        {"CELERY_QUEUES": []},
        "CELERY_QUEUES is the old name of CELERY_TASK_QUEUES and is ignored beside it.",
        set(),
    ),
    ("old-setting-name", {"CELERYD_CONCURRENCY": 4}, "CELERYD_CONCURRENCY is an old name, which is not read.", set()),
    ("setting-without-prefix", {"TASK_ACKS_LATE": True}, "TASK_ACKS_LATE lacks its prefix.", set()),
    (
        "unknown-celery-setting",
        {"CELERY_TASK_TIME_LIMITT": 60},
        "Celery knows no setting CELERY_TASK_TIME_LIMITT.",
        set(),
    ),
    (
        "backups-not-scheduled",
        entries(backup={"task": "shop.pay", "schedule": crontab(hour="2", minute="0")}),
        "No schedule makes backups.",
        set(),
    ),
    (
        "backups-never-verified",
        entries(verify={"task": "shop.pay", "schedule": crontab(hour="2", minute="0")}),
        "No schedule verifies backups.",
        set(),
    ),
    ("backups-beside-data", backups(DESTINATIONS=["backups"]), "Backups are on this machine only.", set()),
    ("backups-unencrypted-offsite", backups(RECIPIENTS=[]), "Backups go to 'offsite' unencrypted.", set()),
    (
        "backups-served",
        {**backups(DESTINATIONS=["offsite", "backups"], ROOT="/srv/media/backups"), "MEDIA_ROOT": "/srv/media"},
        "The backups of 'backups' lie below MEDIA_ROOT.",
        set(),
    ),
    (
        "backups-key-beside-lock",
        backups(DESTINATIONS=["offsite", "backups"], ROOT="/srv/backups", IDENTITY="/srv/backups/key"),
        "The private key lies in the destination 'backups'.",
        set(),
    ),
    ("backups-kept-for-ever", backups(KEEP_LAST=None), "Backups are never removed.", set()),
    ("backups-too-few", backups(KEEP_LAST=2), "Only 2 of each are kept.", set()),
    (
        "database-not-backed-up",
        {"DATABASES": {"default": POSTGRES, "audit": POSTGRES}},
        "The database 'audit' is not backed up.",
        set(),
    ),
    (
        "media-not-backed-up",
        {
            "MEDIA_ROOT": "/srv/media",
            "STORAGES": {"default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}, "offsite": REMOTE},
        },
        "Uploaded files are not backed up.",
        set(),
    ),
    (
        "nobody-is-told",
        {"ADMINS": [], "MAINTENANCE": without("WEBHOOKS")},
        "There are neither ADMINS nor webhooks.",
        set(),
    ),
    (
        "watcher-unwatched",
        {"MAINTENANCE": without("PING_URL")},
        "No monitor outside waits for beat's sign of life.",
        set(),
    ),
    ("health-token-missing", {"MAINTENANCE": without("TOKEN")}, "The health page has no token.", set()),
    (
        "monitor-not-scheduled",
        entries(monitor={"task": "shop.pay", "schedule": crontab(hour="2", minute="0")}),
        "maintenance.monitor is not scheduled.",
        set(),
    ),
    (
        "mail-goes-nowhere",
        {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"},
        "Mail to ADMINS goes to the console backend.",
        set(),
    ),
    ("mail-without-timeout", {"EMAIL_TIMEOUT": None}, "EMAIL_TIMEOUT is not set.", set()),
    ("mail-sender-refused", {"SERVER_EMAIL": "root@localhost"}, "Alerts come from root@localhost.", set()),
    ("procfile-no-release", lines("release: python manage.py sync_schedules"), "The Procfile does not migrate.", set()),
    ("procfile-no-sync", lines("release: python manage.py migrate"), "The Procfile never syncs schedules.", set()),
    ("procfile-two-beats", lines("clock: celery -A shop beat"), "The Procfile starts a beat in clock and beat.", set()),
    (
        "procfile-beat-in-worker",
        lines("worker: celery -A shop worker -Q default -B\nbeat:"),
        "The Procfile's worker runs beat inside a worker.",
        {"worker-not-planned"},
    ),
    ("procfile-beat-missing", lines("beat:"), "The Procfile starts no beat.", set()),
    ("procfile-worker-missing", lines("worker:"), "The Procfile starts no worker.", set()),
    (
        "procfile-web-runs-others",
        lines("web: python manage.py run_beat & gunicorn shop.wsgi\nbeat:"),
        "The Procfile's web starts others in the background.",
        set(),
    ),
    (
        "procfile-runserver",
        lines("web: python manage.py runserver 0.0.0.0:$PORT"),
        "The Procfile's web is runserver.",
        set(),
    ),
    (
        "procfile-fixed-port",
        lines("web: uvicorn shop.asgi:application --port 8000"),
        "The Procfile's web does not listen on $PORT.",
        set(),
    ),
]


def test_a_good_project_has_no_fault() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("id", "given", "fact", "others"), FAULTS, ids=[f"{at}-{fault[0]}" for at, fault in enumerate(FAULTS)]
)
def test_a_fault_is_found_by_its_rule_alone(id: str, given: dict[str, Any], fact: str, others: set[str]) -> None:
    troubles = found(**given)
    assert set(troubles) == {id} | others, troubles
    assert fact in [each.fact for each in troubles[id]]
    assert "s3cret" not in repr(troubles)


def test_every_rule_is_tested_and_well_formed() -> None:
    assert {fault[0] for fault in FAULTS} == set(RULES)
    for rule in RULES.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.id)
        assert rule.look.__name__ == rule.id.replace("-", "_"), rule.id
        assert rule.severity in ("warning", "error")
        assert rule.consequence.endswith((".", '"')), rule.id
        assert inspect.cleandoc(rule.reason).endswith("."), rule.id
        assert any(word in rule.reason for word in ("Source:", "easured")), rule.id


# Nothing is found on the good side of these boundaries.
FINE: list[dict[str, Any]] = [
    {"SECRET_KEY": GOOD["SECRET_KEY"][:50]},
    {"CELERY_BROKER_URL": "redis://localhost:6379/0"},
    {"CELERY_BROKER_URL": "redis+socket:///run/redis.sock?virtual_host=0"},
    {"CELERY_BROKER_URL": "redis://:s3cret@10.1.2.3/0"},
    {"CELERY_BROKER_URL": "redis://:s3cret@redis.shop.internal/0"},
    {
        "CELERY_BROKER_URL": "rediss://:s3cret@redis.example.com/0",
        "CELERY_BROKER_USE_SSL": {"ssl_cert_reqs": "required"},
    },
    amqp(),
    amqp(CELERY_BROKER_URL="amqp://guest:guest@localhost//"),
    amqp(CELERY_TASK_QUEUES=[Queue("default", Exchange("default"), durable=True)]),
    transport(visibility_timeout=1801),
    {"TASKS": {"shop.pay": {"default_retry_delay": 7199}}},
    {"TASKS": {"shop.pay": {"default_retry_delay": 9999, "max_retries": 0}}},
    {"TASKS": {"shop.pay": {"soft_time_limit": 59, "time_limit": 60}}},
    {"TASKS": {"shop.pay": {"acks_late": True, "reject_on_worker_lost": True}}},
    {"CELERY_TASK_PUBLISH_RETRY_POLICY": {"max_retries": 30, "interval_max": 1}},
    {"CELERY_WORKER_PREFETCH_MULTIPLIER": 4, "CELERY_TASK_TIME_LIMIT": 299, "CELERY_TASK_SOFT_TIME_LIMIT": 200},
    {"CELERY_TASK_IGNORE_RESULT": True, "CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED": True},
    {"CELERY_RESULT_BACKEND": "redis://redis/2"},
    {
        "CELERY_TASK_ROUTES": ["shop.routers.Router"],
        "CELERY_TASK_QUEUES": [Queue("default"), Queue("x")],
        **lines("worker: python manage.py run_worker"),
    },
    {
        "CELERY_TASK_QUEUES": [Queue("default"), Queue("x")],
        "CELERY_TASK_ROUTES": {"shop.*": "x"},
        **lines("x: python manage.py run_worker --queues=x"),
    },
    {"PROCFILE": None},
    lines("flower: celery -A shop flower --address=127.0.0.1\nworker: python manage.py run_worker -Q default -- -E"),
    lines(
        "flower: python manage.py run_flower --address=0.0.0.0 --basic-auth\n"
        "worker: python manage.py run_worker -Q default -- -E"
    ),
    lines("web: gunicorn shop.wsgi >log 2>&1"),
    lines("web: uvicorn shop.asgi:application --port $PORT"),
    sqlite(),
    {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}},
    postgres(CONN_MAX_AGE=60),
    postgres(PORT="6432", DISABLE_SERVER_SIDE_CURSORS=True),
    {"DATABASES": {"default": POSTGRES, "replica": {**POSTGRES, "TEST": {"MIRROR": "default"}}}},
    {"CELERY_TIMEZONE": None, "TIME_ZONE": "UTC"},
    entries(often={"task": "shop.pay", "schedule": 30.0, "options": {"expires": 30}}),
    entries(hourly={"task": "shop.pay", "schedule": 3600}),
    backups(KEEP_LAST=3),
    backups(KEEP_LAST=1, KEEP_WEEKLY=4),
    backups(KEEP_LAST=None, MAX_SIZE="1GB"),
    backups(DESTINATIONS=["offsite", "backups"]),
    {"CELERY_RESULT_DB_SHORT_LIVED": 1, "CELERY_BEAT_SOMETHING_OF_OTHERS": 1},
    {"EMAIL_HOST": "", "EMAIL_TIMEOUT": None},
]


@pytest.mark.parametrize("given", FINE, ids=str)
def test_the_good_side_of_a_boundary(given: dict[str, Any]) -> None:
    assert found(**given) == {}


@pytest.mark.parametrize("id", ["visibility-timeout-short", "maintenance.visibility-timeout-short", "maintenance.W001"])
def test_a_rule_is_silenced_by_its_id_or_its_checks(id: str) -> None:
    given = facts(**transport(visibility_timeout=60))
    ids = {each.rule.id for each in rules.look(given, deploy=True, silenced=[id])}
    assert ids == set(RULES) - {"visibility-timeout-short"}


def test_without_a_namespace_settings_have_celerys_own_names() -> None:
    given = {name: value for name, value in GOOD.items() if not name.startswith("CELERY_")}
    plain = facts(**{**dict.fromkeys(GOOD), **given, "NAMESPACE": "", "task_always_eager": True})
    (trouble,) = rules.ask(RULES["always-eager"], plain).troubles
    assert trouble == Trouble("app.conf.task_always_eager is on.", "Set app.conf.task_always_eager = False.")


def test_the_cure_is_the_line_to_paste() -> None:
    (trouble,) = found(CELERY_ACCEPT_CONTENT=["pickle", "json"])["pickle-accepted"]
    assert trouble.cure == 'Set CELERY_ACCEPT_CONTENT = ["json"].'


@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")
def test_a_tasks_own_queue_counts() -> None:
    given = {"TASKS": {"shop.pay": {"queue": "havy"}}}
    fact = "The task shop.pay goes to the queue 'havy', which is not declared."
    assert [each.fact for each in found(**given)["route-to-nowhere"]] == [fact]
