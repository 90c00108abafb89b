"""Every environment variable that opsproject reads, with its type, default and meaning."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
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
        "bool",
        False,
        "Development mode: error pages, the minutely demonstration schedules. Never in production.",
    ),
    Variable(
        "SECRET_KEY", "str", "", "Signs sessions and tokens. Required unless DEBUG; at least 50 random characters."
    ),
    Variable("ALLOWED_HOSTS", "list", [], "Host names that are served, separated by commas. DEBUG serves localhost."),
    Variable("CSRF_TRUSTED_ORIGINS", "list", [], "Origins such as https://ops.example.com that may send forms."),
    Variable(
        "SECURE_SSL_REDIRECT",
        "bool",
        True,
        "Redirect http to https (not in DEBUG). Off only behind a proxy that does it.",
    ),
    Variable("SECURE_HSTS_SECONDS", "int", 31536000, "How long browsers insist on https (not in DEBUG)."),
    Variable("TIME_ZONE", "str", "UTC", "The project's zone; Celery's crontabs use it too."),
    Variable("LANGUAGE_CODE", "str", "en-us", "Django's language."),
    Variable("LOG_LEVEL", "str", "INFO", "Level of the root logger."),
    Variable(
        "VAR_DIR", "path", "var", "Folder of the database, broker, backups and run files; relative to the project."
    ),
    Variable(
        "DATABASE_URL", "str", "", "postgres://, mysql:// or sqlite:/// URL. Empty: SQLite at VAR_DIR/db.sqlite3."
    ),
    Variable("CONN_MAX_AGE", "int", 60, "Seconds that a web process keeps a database connection."),
    Variable("DATABASE_CONNECTIONS", "int", 0, "Connections that one worker may take; 0: not limited."),
    Variable(
        "REDIS_URL", "str", "", "Broker (and cache) at redis://, rediss:// or unix://. Empty: the embedded broker."
    ),
    Variable("CELERY_BROKER_URL", "str", "", "Another broker, such as amqp://. Wins over REDIS_URL."),
    Variable("CACHE_URL", "str", "", "The cache's own Redis. Empty: database + 1 of REDIS_URL."),
    Variable(
        "REDIS_SINGLE_DATABASE", "bool", False, "The host gives one Redis database only: share it, under a key prefix."
    ),
    Variable("REDIS_SSL_VERIFY", "bool", True, "Off accepts self-signed certificates on rediss:// (Heroku Redis)."),
    Variable(
        "CELERY_WORKER_CONCURRENCY",
        "str",
        "auto",
        "Tasks at a time of one worker: a number, or auto (run_worker decides).",
    ),
    Variable("BACKUP_KEEP_LAST", "int", 14, "Backups kept of each database (5 in DEBUG)."),
    Variable("EMAIL_URL", "str", "", "smtp:// URL. Empty: mail is printed to the console."),
    Variable("DEFAULT_FROM_EMAIL", "str", "ops@localhost", "Sender of the project's mail."),
)

_reader = environ.Env()
_declared = {variable.name: variable for variable in VARIABLES}


def load() -> None:
    """Read BASE_DIR/.env, where there is one, without overriding the real environment."""
    file = BASE_DIR / ".env"
    if file.is_file():
        environ.Env.read_env(file)


def read(name: str) -> Any:
    """Return the declared variable's value in its own type. Raises ImproperlyConfigured, which names it."""
    variable = _declared[name]
    text = _reader.str(name, default="").strip()
    if not text:
        return variable.default
    if variable.kind == "bool":
        return _boolean(name, text)
    try:
        return getattr(_reader, variable.kind if variable.kind != "path" else "str")(name)
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"{name}={text!r} is not a valid {variable.kind}.") from error


def _boolean(name: str, text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ImproperlyConfigured(f"{name}={text!r} is not a valid bool: write 1 or 0.")
    return words[text.lower()]
