"""Which Redis databases URLs mean, in one spelling, and which server answers there."""

import os.path
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import redis

from ..errors import ConfigurationError

_DEFAULT_PORTS: Final = {"redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379, "sentinel": 26379}
_SOCKETS: Final = {"unix", "redis+socket", "valkey+socket"}
_CLIENT_SCHEMES: Final = {"valkey": "redis", "valkeys": "rediss", "redis+socket": "unix", "valkey+socket": "unix"}
_THIS_HOST: Final = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound

# For a server that is only asked who it is. In seconds.
PATIENCE: Final = {"socket_timeout": 3, "socket_connect_timeout": 3}


class MalformedUrl(ConfigurationError):
    """The Redis URL {url!r} has no valid port or database number."""

    hint = "Write redis://host:6379/0, and %-encode special characters of the password."


class MalformedLayer(ConfigurationError):
    """The channel layer {name!r} is not a dict."""

    hint = 'Write CHANNEL_LAYERS = {{"default": {{"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": …}}}}.'


class Place(NamedTuple):
    """A Redis database: the server (host:port, or socket path) and the number."""

    server: str
    database: int

    def __str__(self) -> str:
        return f"{self.server}/{self.database}"


def places(urls: Iterable[str], *, database: object = None) -> frozenset[Place]:
    """Return the Redis databases that ``urls`` name, in one spelling; other URLs name none.

    ``database`` is the number where a URL says none. Raises MalformedUrl.
    """
    return frozenset(place for url in urls if (place := _place(url.strip(), database)) is not None)


def place(host: object, port: object, database: object) -> Place:
    """Return the Redis database behind a host name (or address) and a port."""
    name = str(host or "").lower().rstrip(".")
    return Place(f"{'127.0.0.1' if name in _THIS_HOST else name}:{port or 6379}", int(str(database or 0)))


def urls(value: object) -> list[str]:
    """Return every URL of a setting: one, several separated by ``;``, or a list of such."""
    if isinstance(value, list | tuple | set | frozenset):
        return [each for one in value for each in urls(one)]
    return value.split(";") if isinstance(value, str) else []


def run_id(connect: Callable[[], Any]) -> str | None:
    """Return what a Redis server calls itself since its start; None when it does not answer or may not tell."""
    try:
        return str(connect().info("server")["run_id"])
    except (redis.RedisError, OSError, KeyError, ValueError):
        return None


def client(url: str, **options: Any) -> Any:
    """Return a client of a Redis URL in any of the schemes that Celery, Django and Channels know."""
    scheme, _, rest = url.partition("://")
    scheme = _CLIENT_SCHEMES.get(scheme, scheme)
    patience = {"socket_timeout": 3} if scheme == "unix" else PATIENCE
    return redis.Redis.from_url(f"{scheme}://{rest.replace('virtual_host=', 'db=')}", **{**patience, **options})


def cache_places(entry: Mapping[str, Any]) -> frozenset[Place]:
    """Return the Redis databases of an entry of CACHES. Raises MalformedUrl."""
    options = entry.get("OPTIONS") or {}
    return places(cache_urls(entry), database=options.get("db", options.get("DB")))


def cache_urls(entry: Mapping[str, Any]) -> list[str]:
    """Return the servers of an entry of CACHES, which may separate them by commas too."""
    location = entry.get("LOCATION")
    return re.split("[;,]", location) if isinstance(location, str) else urls(location)


def _place(url: str, database: object) -> Place | None:
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme not in _DEFAULT_PORTS and scheme not in _SOCKETS:
        return None
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        said = (query.get("db") or query.get("virtual_host") or [""])[0].strip("/")
        if scheme in _SOCKETS:
            return Place(os.path.realpath(unquote(parts.path)), int(said or str(database or 0)))
        number = said or unquote(parts.path).strip("/") or str(database or 0)
        return place(parts.hostname, parts.port or _DEFAULT_PORTS[scheme], number)
    except ValueError as error:
        # Not the error's own words: a password with a slash in it ends up in the "port" that they quote.
        raise MalformedUrl(url=re.sub("//.*@", "//**@", url)) from error
