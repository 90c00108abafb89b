"""Settings of opsproject. Whatever differs between machines comes from the environment: see environment.py."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

from maintenance.broker import embedded
from maintenance.schedules import MAINTENANCE_SCHEDULE
from opsproject import connections
from opsproject.environment import BASE_DIR, load, read

load()

DEBUG: bool = read("DEBUG")
VAR_DIR: Path = BASE_DIR / read("VAR_DIR")

SECRET_KEY: str = read("SECRET_KEY")
if not SECRET_KEY and not DEBUG:
    raise ImproperlyConfigured(
        "SECRET_KEY is required. Set it to 50 random characters, or set DEBUG=1 on your own machine."
    )
SECRET_KEY = SECRET_KEY or "development-only"

ALLOWED_HOSTS: list[str] = read("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS: list[str] = read("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_celery_results",
    "django_htmx",
    "maintenance",
    "opsproject",
    "opsproject.examples",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "opsproject.urls"
WSGI_APPLICATION = "opsproject.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE: str = read("LANGUAGE_CODE")
USE_TZ = True
TIME_ZONE: str = read("TIME_ZONE")

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    "backups": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": VAR_DIR / "backups",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}

# --- Security: nothing of it stands in the way on a developer's own machine.
if not DEBUG:
    SECURE_SSL_REDIRECT: bool = read("SECURE_SSL_REDIRECT")
    SECURE_HSTS_SECONDS: int = read("SECURE_HSTS_SECONDS")
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- Database
DATABASES: dict[str, Any] = {
    "default": connections.database(
        read("DATABASE_URL"), default=VAR_DIR / "db.sqlite3", conn_max_age=read("CONN_MAX_AGE")
    )
}

# --- E-mail
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
if read("EMAIL_URL"):
    vars().update(connections.email(read("EMAIL_URL")))
EMAIL_TIMEOUT = 10  # seconds: a mail server that never answers is an error, not a task that hangs
DEFAULT_FROM_EMAIL: str = read("DEFAULT_FROM_EMAIL")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Django 6 takes addresses, Django 5.2 wants pairs with a name.
ADMINS: list[Any] = [address if django.VERSION >= (6,) else ("", address) for address in read("ADMINS")]

# --- Broker and cache: CELERY_BROKER_URL, else REDIS_URL, else the embedded broker in VAR_DIR/broker.
_embedded = embedded(VAR_DIR / "broker")
_redis_url: str = read("REDIS_URL")
_cache_url: str = read("CACHE_URL") or (_redis_url if read("REDIS_SINGLE_DATABASE") else "")
_tls_verify: bool = read("REDIS_SSL_VERIFY")

CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any]
if read("CELERY_BROKER_URL"):
    CELERY_BROKER_URL = connections.broker("CELERY_BROKER_URL", read("CELERY_BROKER_URL"))
elif _redis_url:
    CELERY_BROKER_URL = connections.broker("REDIS_URL", _redis_url)
else:
    CELERY_BROKER_URL = _embedded.broker_url
CELERY_BROKER_USE_SSL = connections.broker_tls(CELERY_BROKER_URL, verify=_tls_verify)
_on_redis = CELERY_BROKER_URL.startswith("redis")

if _cache_url or _redis_url:
    CACHES = {
        "default": connections.redis_cache(
            "CACHE_URL" if _cache_url else "REDIS_URL",
            _cache_url or connections.next_database(_redis_url),
            prefix="opsproject",
            verify=_tls_verify,
        )
    }
elif _embedded.broker_url == CELERY_BROKER_URL:
    CACHES = {"default": _embedded.cache}
else:
    CACHES = {"default": embedded(VAR_DIR / "broker", kind="filesystem").cache}  # nothing serves the embedded Redis

# --- Celery, in the order of its guide. https://docs.celeryq.dev/en/stable/userguide/configuration.html
CELERY_TIMEZONE = TIME_ZONE
CELERY_ENABLE_UTC = True

# A task may run at most this long: the soft limit raises SoftTimeLimitExceeded inside it, the hard one kills it.
CELERY_TASK_SOFT_TIME_LIMIT = 25 * 60
CELERY_TASK_TIME_LIMIT = 30 * 60

# Unacknowledged messages of a killed worker come back after this time: it must exceed every time limit and ETA,
# or a task runs twice (the check maintenance.W001 compares them).
_VISIBILITY_TIMEOUT = 2 * 60 * 60
if _on_redis:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": _VISIBILITY_TIMEOUT,
        # Look for expired messages every 2 s instead of every 100 s.
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        # A broker that accepts TCP and never answers is an error after 5 s, not a caller that hangs for ever.
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "retry_on_timeout": False,
    }
elif CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT_OPTIONS = connections.filesystem(VAR_DIR / "broker")
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_POOL_LIMIT = 10
CELERY_TASK_PUBLISH_RETRY = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}

# Results live in the database, with name, arguments, worker and traceback, until they expire. This backend is
# django-celery-results' own, with arguments that can be sent again (retry_results) instead of their repr.
CELERY_RESULT_BACKEND = "maintenance.results.backend:DatabaseBackend"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = timedelta(days=7)
CELERY_TASK_TRACK_STARTED = True

# JSON only: a message can never run code by being read.
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"

# Queues. (The guide's CELERY_QUEUES is the old name: beside this one it is ignored, and `doctor` says so.)
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = (
    Queue("default", Exchange("default"), routing_key="default"),
    Queue("heavy_tasks", Exchange("heavy_tasks"), routing_key="heavy_tasks"),
)
CELERY_TASK_CREATE_MISSING_QUEUES = False  # a misspelt queue is an error, not a queue that nobody consumes
CELERY_TASK_ROUTES = {
    "maintenance.backup": {"queue": "heavy_tasks"},
    "maintenance.backup_media": {"queue": "heavy_tasks"},
    "maintenance.verify_backup": {"queue": "heavy_tasks"},
    "maintenance.verify_one_backup": {"queue": "heavy_tasks"},
    "maintenance.purge_results": {"queue": "heavy_tasks"},
    "maintenance.clear_sessions": {"queue": "heavy_tasks"},
    "maintenance.clear_files": {"queue": "heavy_tasks"},
    "maintenance.vacuum": {"queue": "heavy_tasks"},
    "opsproject.examples.tasks.crunch": {"queue": "heavy_tasks"},
}
CELERY_TASK_ANNOTATIONS = {
    # Rate limits are per worker: at most 10 notifications a second.
    "opsproject.examples.tasks.notify": {"rate_limit": "10/s"},
}

CELERY_WORKER_CONCURRENCY: int | str = read("CELERY_WORKER_CONCURRENCY")
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000  # a slow leak in a task never grows for ever
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # long and short tasks share a queue: take only what can start soon
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

CELERY_BEAT_SCHEDULER = "maintenance.beat:Scheduler"
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True
CELERY_BEAT_SCHEDULE: dict[str, Any] = {**MAINTENANCE_SCHEDULE}
if DEBUG:
    # make up shows real work within two minutes.
    CELERY_BEAT_SCHEDULE |= {
        "examples.add": {
            "task": "opsproject.examples.tasks.add",
            "schedule": 30.0,
            "args": (2, 3),
            "options": {"expires": 30},
        },
        "maintenance.backup": {"task": "maintenance.backup", "schedule": crontab(), "options": {"expires": 60}},
        "maintenance.clear_cache": {
            "task": "maintenance.clear_cache",
            "schedule": crontab(),
            "options": {"expires": 60},
        },
    }

# --- The maintenance app
MAINTENANCE: dict[str, Any] = {
    "WORKER": {
        "PROFILES": {
            "default": {"QUEUES": ["default"], "HOSTNAME": "default@%h"},
            "heavy": {"QUEUES": ["heavy_tasks"], "HOSTNAME": "heavy@%h", "CONCURRENCY": 1},
        },
        "DATABASE_CONNECTIONS": read("DATABASE_CONNECTIONS") or None,
    },
    "BROKER": {"FOLDER": VAR_DIR / "broker"},
    "BACKUPS": {
        "KEEP_LAST": 5 if DEBUG else read("BACKUP_KEEP_LAST"),
        "RECIPIENTS": read("BACKUP_RECIPIENTS"),
        "IDENTITY": read("BACKUP_IDENTITY") or None,
    },
    "HEALTH": {
        "TOKEN": read("HEALTH_TOKEN") or None,
        "WEBHOOKS": read("HEALTH_WEBHOOKS"),
        "PING_URL": read("HEALTH_PING_URL") or None,
    },
}

# --- Logging: one line an event on stderr, where process managers and hosts expect it.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": read("LOG_LEVEL").upper()},
}
