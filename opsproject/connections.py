"""URLs from the environment as Django's and Celery's settings. A wrong one is a one-line error naming the variable."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from maintenance.broker import embedded, filesystem_folders, make_all
from maintenance.errors import CannotWrite
from opsproject.environment import BASE_DIR

REDIS_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp", "filesystem", "memory")
_VALKEY = {"valkey": "redis", "valkeys": "rediss"}
_DATABASE_EXAMPLE = "Write postgres://user:password@host:5432/name, mysql://… or sqlite:///path."
_IN_MEMORY = "DATABASE_URL is a database in memory, which no two processes share. Name a file."
_REDIS_EXAMPLE = "Write redis://:password@host:6379/0, rediss://… or unix:///path/to/socket?db=0."
_BROKER_EXAMPLE = (
    "Write redis://:password@host:6379/0, rediss://…, unix:///path/to/socket?db=0 or amqp://user:password@host//."
)


def database(url: str, *, default: Path, conn_max_age: int) -> dict[str, Any]:
    """Return DATABASES["default"] for DATABASE_URL, or SQLite at ``default`` when it is empty.

    SQLite runs in WAL mode with IMMEDIATE transactions, so that a worker, beat and the web can write side by side:
    a deferred transaction that turns into a writer fails at once instead of waiting its turn.
    """
    if not url:
        return _sqlite(default)
    if url == "sqlite://:memory:":
        raise ImproperlyConfigured(_IN_MEMORY)
    parts = _split("DATABASE_URL", url, _DATABASE_EXAMPLE)
    if parts.scheme not in environ.Env.DB_SCHEMES:
        raise ImproperlyConfigured(f"DATABASE_URL has the unknown scheme {parts.scheme!r}. {_DATABASE_EXAMPLE}")
    if parts.scheme == "sqlite":
        return _sqlite(_sqlite_path(parts))
    if parts.fragment or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            f"DATABASE_URL names no database, or its password needs %-encoding (/ is %2F, # is %23). "
            f"{_DATABASE_EXAMPLE}"
        )
    config = dict(environ.Env.db_url_config(url))
    config.setdefault("CONN_MAX_AGE", conn_max_age)
    if not isinstance(config["CONN_MAX_AGE"], int | None):
        raise ImproperlyConfigured("DATABASE_URL has a conn_max_age that is not a number of seconds.")
    config.setdefault("CONN_HEALTH_CHECKS", True)
    return config


def _sqlite_path(parts: SplitResult) -> Path:
    if parts.path == "/:memory:":
        raise ImproperlyConfigured(_IN_MEMORY)
    if parts.netloc or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL names no file: sqlite: takes three slashes before a path relative to the project, "
            "four before an absolute one, as sqlite:///var/db.sqlite3."
        )
    return BASE_DIR / unquote(parts.path[1:])


def _sqlite(path: Path) -> dict[str, Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The folder {str(path.parent)!r} of the database cannot be made: {error.strerror}. "
            "Make it writable, or set VAR_DIR or DATABASE_URL."
        ) from error
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def broker(variable: str, url: str) -> str:
    """Return ``url`` (or several, separated by ;) as Celery's broker_url. ``variable`` is named in errors."""
    known = ";".join(_broker(variable, each) for each in url.split(";"))
    if variable == "CELERY_BROKER_URL" and known != url:
        # Celery prefers this variable to any setting, so that a rewritten one would never be seen.
        raise ImproperlyConfigured(
            f"CELERY_BROKER_URL is read by Celery itself, which does not know the scheme {urlsplit(url).scheme!r}. "
            "Write redis+socket:///path?virtual_host=0 or redis://host:6379/0, or set REDIS_URL instead."
        )
    return known


def _broker(variable: str, url: str) -> str:
    parts = _split(variable, url, _BROKER_EXAMPLE)
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query))
        query["virtual_host"] = query.pop("db", query.get("virtual_host", "0"))
        return _url(parts._replace(scheme="redis+socket", query=urlencode(query)))
    if parts.scheme in _VALKEY:
        return _url(parts._replace(scheme=_VALKEY[parts.scheme]))
    if parts.scheme not in BROKER_SCHEMES:
        raise ImproperlyConfigured(f"{variable} has the unknown scheme {parts.scheme!r}. {_BROKER_EXAMPLE}")
    return url


def next_database(url: str) -> str:
    """Return the Redis URL with the database after the one it names: 0 the broker, 1 the cache."""
    parts = _split("REDIS_URL", url, _REDIS_EXAMPLE)
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query))
        query["db"] = str(_number(query.get("db", "0")) + 1)
        return _url(parts._replace(query=urlencode(query)))
    return _url(parts._replace(path=f"/{_number(parts.path.strip('/') or '0') + 1}"))


def redis_cache(variable: str, url: str, *, prefix: str, verify: bool) -> dict[str, Any]:
    """Return a CACHES entry for a Redis URL. Without ``verify`` a self-signed certificate is accepted."""
    parts = _split(variable, url, _REDIS_EXAMPLE)
    if parts.scheme not in REDIS_SCHEMES:
        raise ImproperlyConfigured(f"{variable} has the unknown scheme {parts.scheme!r}. {_REDIS_EXAMPLE}")
    scheme = _VALKEY.get(parts.scheme, parts.scheme)
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5}
    if scheme == "unix":
        del options["socket_connect_timeout"]
    if scheme == "rediss" and not verify:
        options["ssl_cert_reqs"] = None
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _url(parts._replace(scheme=scheme, query=_client_query(parts.query))),
        "KEY_PREFIX": prefix,
        "OPTIONS": options,
    }


def broker_tls(url: str, *, verify: bool) -> dict[str, Any] | None:
    """Return broker_use_ssl for a TLS broker, or None for a plain one."""
    if urlsplit(url).scheme not in ("rediss", "amqps"):
        return None
    name = "ssl_cert_reqs" if url.startswith("rediss") else "cert_reqs"
    return {name: ssl.CERT_REQUIRED if verify else ssl.CERT_NONE}


def email(url: str) -> dict[str, Any]:
    """Return Django's EMAIL_* settings for EMAIL_URL."""
    try:
        config = environ.Env.email_url_config(url)
    except (ImproperlyConfigured, KeyError, ValueError):  # its text may hold a piece of the password
        raise ImproperlyConfigured("EMAIL_URL is malformed. Write smtp+tls://user:password@host:587.") from None
    return {name: value for name, value in config.items() if name.startswith("EMAIL_")}


def filesystem(folder: Path) -> dict[str, Any]:
    """Return the transport options of filesystem:// in ``folder``, whose folders are made: any process may be first."""
    options = embedded(folder, kind="filesystem").transport_options
    try:
        make_all(filesystem_folders(options))
    except CannotWrite as error:
        raise ImproperlyConfigured(f"{error.message} Make it writable, or set VAR_DIR or REDIS_URL.") from error
    return options


def _url(parts: SplitResult) -> str:
    """Return ``parts`` as a URL; urlunsplit would drop the // before the path of a unix socket."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _client_query(query: str) -> str:
    """Return a URL's query for redis-py, which says ``none`` where Celery's documents say ``CERT_NONE``."""
    pairs = parse_qsl(query)
    return urlencode([(k, v.lower().removeprefix("cert_") if k == "ssl_cert_reqs" else v) for k, v in pairs])


def _split(variable: str, url: str, example: str) -> SplitResult:
    """Return the parts of ``url``. What Python says of a bad one may hold a piece of the password: it is not shown."""
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc.rpartition("@")[2]:  # PostgreSQL takes several hosts
            _ = parts.port
    except ValueError:
        raise ImproperlyConfigured(
            f"{variable} is malformed: its host or port cannot be read, or its password needs %-encoding "
            f"(@ is %40, / is %2F, # is %23). {example}"
        ) from None
    if not parts.scheme or "://" not in url:
        raise ImproperlyConfigured(f"{variable} is malformed: it is not a URL. {example}")
    return parts


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ImproperlyConfigured(f"REDIS_URL names a database that is not a number. {_REDIS_EXAMPLE}")
    return int(text)
