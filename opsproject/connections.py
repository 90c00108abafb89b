"""URLs from the environment as Django's and Celery's settings. A wrong one is a one-line error naming the variable."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import environ
from django.core.exceptions import ImproperlyConfigured

REDIS_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps", "pyamqp", "filesystem", "memory")


def database(url: str, *, default: Path, conn_max_age: int) -> dict[str, Any]:
    """Return DATABASES["default"] for DATABASE_URL, or SQLite at ``default`` when it is empty.

    SQLite runs in WAL mode with IMMEDIATE transactions, so that a worker, beat and the web can write side by side:
    a deferred transaction that turns into a writer fails at once instead of waiting its turn.
    """
    if not url:
        return _sqlite(default)
    try:
        parts = urlsplit(url)
        scheme, name = parts.scheme, parts.path.strip("/")
        config = environ.Env.db_url_config(url) if scheme in environ.Env.DB_SCHEMES and "://" in url else {}
        config.get("PORT")
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL is malformed: {error}. {_DATABASE_EXAMPLE}") from error
    if not config or (scheme != "sqlite" and not name):
        raise ImproperlyConfigured(
            f"DATABASE_URL is malformed: it has no known scheme or no database name. {_DATABASE_EXAMPLE}"
        )
    if scheme == "sqlite":
        return _sqlite(Path(config["NAME"]))
    config.setdefault("CONN_MAX_AGE", conn_max_age)
    config.setdefault("CONN_HEALTH_CHECKS", True)
    return dict(config)


_DATABASE_EXAMPLE = "Write postgres://user:password@host:5432/name, mysql://… or sqlite:///path."


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
    """Return ``url`` as Celery's broker_url (unix:// becomes redis+socket://). ``variable`` is named in errors."""
    parts = _split(variable, url)
    if parts.scheme in ("unix", "valkey", "valkeys"):
        scheme = {"unix": "redis+socket", "valkey": "redis", "valkeys": "rediss"}[parts.scheme]
        query = dict(parse_qsl(parts.query))
        if scheme == "redis+socket":
            query["virtual_host"] = query.pop("db", query.get("virtual_host", "0"))
        return parts._replace(scheme=scheme, query=urlencode(query)).geturl()
    if parts.scheme not in BROKER_SCHEMES:
        raise ImproperlyConfigured(
            f"{variable} has the unknown scheme {parts.scheme!r}. Write redis://, rediss://, unix:// or amqp://."
        )
    return url


def next_database(url: str) -> str:
    """Return the Redis URL with the database after the one it names: 0 the broker, 1 the cache."""
    parts = _split("REDIS_URL", url)
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query))
        query["db"] = str(_number(query.get("db", "0"), url) + 1)
        return parts._replace(query=urlencode(query)).geturl()
    number = _number(parts.path.strip("/") or "0", url)
    return urlunsplit(parts._replace(path=f"/{number + 1}"))


def redis_cache(variable: str, url: str, *, prefix: str, verify: bool) -> dict[str, Any]:
    """Return a CACHES entry for a Redis URL. Without ``verify`` a self-signed certificate is accepted."""
    parts = _split(variable, url)
    if parts.scheme not in REDIS_SCHEMES:
        raise ImproperlyConfigured(f"{variable} has the scheme {parts.scheme!r}. Write redis://, rediss:// or unix://.")
    scheme = {"valkey": "redis", "valkeys": "rediss"}.get(parts.scheme, parts.scheme)
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5}
    if scheme == "unix":
        del options["socket_connect_timeout"]
    if scheme == "rediss" and not verify:
        options["ssl_cert_reqs"] = None
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": urlunsplit(parts._replace(scheme=scheme)),
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
    except (KeyError, ValueError) as error:
        raise ImproperlyConfigured("EMAIL_URL is malformed. Write smtp+tls://user:password@host:587.") from error
    return {name: value for name, value in config.items() if name.startswith("EMAIL_")}


def _split(variable: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{variable} is malformed: {error}.") from error
    if not parts.scheme or "://" not in url:
        raise ImproperlyConfigured(f"{variable} is malformed: it is not a URL such as redis://host:6379/0.")
    return parts


def _number(text: str, url: str) -> int:
    if not text.isdigit():
        raise ImproperlyConfigured("REDIS_URL names a database that is not a number. Write redis://host:6379/0.")
    return int(text)
