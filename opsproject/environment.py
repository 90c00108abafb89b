"""Every environment variable that opsproject reads, with its type, default and meaning."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import environ
from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Variable:
    """An environment variable: how it is read and what it is for."""

    name: str
    kind: str
    default: Any
    meaning: str


VARIABLES = (
    Variable(
        "DEBUG",
        "flag",
        False,
        "Development mode: error pages, the minutely demonstration schedules. Never in production.",
    ),
    Variable(
        "SECRET_KEY", "text", "", "Signs sessions and tokens. Required unless DEBUG; at least 50 random characters."
    ),
    Variable("ALLOWED_HOSTS", "list", [], "Host names that are served, separated by commas. DEBUG serves localhost."),
    Variable("CSRF_TRUSTED_ORIGINS", "origins", [], "Origins such as https://ops.example.com that may send forms."),
    Variable(
        "SECURE_SSL_REDIRECT",
        "flag",
        True,
        "Redirect http to https (not in DEBUG). Off only behind a proxy that does it.",
    ),
    Variable("SECURE_HSTS_SECONDS", "number", 31536000, "How long browsers insist on https (not in DEBUG)."),
    Variable("TIME_ZONE", "zone", "UTC", "The project's zone; Celery's crontabs use it too."),
    Variable("LANGUAGE_CODE", "language", "en-us", "Django's language."),
    Variable("LOG_LEVEL", "level", "INFO", "Level of the root logger."),
    Variable(
        "VAR_DIR", "path", "var", "Folder of the database, broker, backups and run files; relative to the project."
    ),
    Variable(
        "DATABASE_URL", "text", "", "postgres://, mysql:// or sqlite:/// URL. Empty: SQLite at VAR_DIR/db.sqlite3."
    ),
    Variable("CONN_MAX_AGE", "number", 60, "Seconds that a web process keeps a database connection."),
    Variable("DATABASE_CONNECTIONS", "number", 0, "Connections that one worker may take; 0: not limited."),
    Variable(
        "REDIS_URL", "text", "", "Broker (and cache) at redis://, rediss:// or unix://. Empty: the embedded broker."
    ),
    Variable("CELERY_BROKER_URL", "text", "", "Another broker, such as amqp://. Wins over REDIS_URL."),
    Variable("CACHE_URL", "text", "", "The cache's own Redis. Empty: database + 1 of REDIS_URL."),
    Variable(
        "REDIS_SINGLE_DATABASE", "flag", False, "The host gives one Redis database only: share it, under a key prefix."
    ),
    Variable("REDIS_SSL_VERIFY", "flag", True, "Off accepts self-signed certificates on rediss:// (Heroku Redis)."),
    Variable(
        "CELERY_WORKER_CONCURRENCY",
        "concurrency",
        "auto",
        "Tasks at a time of one worker: a number, or auto (run_worker decides).",
    ),
    Variable("BACKUP_KEEP_LAST", "count", 14, "Backups kept of each database (5 in DEBUG)."),
    Variable("BACKUP_RECIPIENTS", "list", [], "age's public keys: backups are encrypted to them."),
    Variable("BACKUP_IDENTITY", "text", "", "File with age's private key, where encrypted backups are read."),
    Variable("ADMINS", "list", [], "Mail addresses that are told when something breaks."),
    Variable("HEALTH_TOKEN", "text", "", "Bearer token that shows /healthz/ in full, and /metrics."),
    Variable("HEALTH_WEBHOOKS", "list", [], "Addresses of webhooks (Slack's, say) that are told, too."),
    Variable("HEALTH_PING_URL", "text", "", "Asked by beat each minute: a watcher outside misses it when all is dead."),
    Variable("EMAIL_URL", "text", "", "smtp:// URL. Empty: mail is printed to the console."),
    Variable("DEFAULT_FROM_EMAIL", "text", "ops@localhost", "Sender of the project's mail."),
)

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LANGUAGES = {code for code, _ in global_settings.LANGUAGES}
_declared = {variable.name: variable for variable in VARIABLES}


def load() -> None:
    """Read BASE_DIR/.env, where there is one, without overriding the real environment."""
    file = BASE_DIR / ".env"
    if file.is_file():
        environ.Env.read_env(file)


def read(name: str) -> Any:
    """Return the declared variable's value in its own type. Raises ImproperlyConfigured, which names it."""
    variable = _declared[name]
    text = os.environ.get(name, "").strip()
    if not text:
        return variable.default
    convert, expected = _KINDS[variable.kind]
    try:
        return convert(text)
    except (ValueError, KeyError, OSError) as error:
        raise ImproperlyConfigured(f"{name}={text!r} is not {expected}.") from error


def _whole(text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ValueError(text)
    return int(text)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _origins(text: str) -> list[str]:
    if not all(origin.startswith(("http://", "https://")) for origin in _list(text)):
        raise ValueError(text)
    return _list(text)


def _one_of(names: Collection[str], text: str) -> str:
    if text not in names:
        raise ValueError(text)
    return text


def _zone(text: str) -> str:
    return ZoneInfo(text).key


def _concurrency(text: str) -> int | str:
    return "auto" if text.lower() == "auto" else _whole(text, least=1)


def _language(text: str) -> str:
    _one_of(_LANGUAGES, text.lower() if text.lower() in _LANGUAGES else text.lower().partition("-")[0])
    return text


_KINDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "text": (str, "text"),
    "path": (str, "a path"),
    "flag": (lambda text: _WORDS[text.lower()], "a flag: write 1 or 0"),
    "number": (lambda text: _whole(text, least=0), "a whole number from 0 up"),
    "count": (lambda text: _whole(text, least=1), "a whole number from 1 up"),
    "concurrency": (_concurrency, "a number from 1 up or auto"),
    "zone": (_zone, "a known time zone, such as Europe/Berlin"),
    "list": (_list, "a list"),
    "origins": (_origins, "a list of origins such as https://ops.example.com"),
    "level": (lambda text: _one_of(_LEVELS, text.upper()), f"one of {', '.join(_LEVELS)}"),
    "language": (_language, "one of Django's languages, such as en-us or de"),
}
"""Kinds of variables: how the text is read (ValueError, KeyError, OSError for a zone), and what is expected of it."""
