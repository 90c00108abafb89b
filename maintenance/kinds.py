"""How the values of settings are read: each kind with what an operator is told when a value is not one."""

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from . import misfire, units


class Kind(NamedTuple):
    """How a setting's value is read, and what an operator is told when it cannot be."""

    read: Callable[[Any], Any]
    expected: str
    is_secret: bool = False
    """Whether a value is never shown, not even a wrong one."""


def setting(default: Any, kind: Kind, when: str) -> Any:
    """Declare a setting: its default, how its value is read, and when you would change it."""
    given: dict[str, Any] = {"metadata": {"kind": kind, "when": when}, "repr": not kind.is_secret}
    if callable(default):
        return field(default_factory=default, **given)
    return field(default=default, **given)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value


def _names(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    return tuple(_text(name).strip() for name in names)


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(value)
    return dict(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _anything(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def zone(value: Any) -> str:
    """Return the name of a known time zone. Raises ValueError."""
    try:
        return ZoneInfo(str(value)).key
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from error


def _url(value: Any) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or len(value) > 500:
        raise ValueError(value)
    return str(value)


def _urls(value: Any) -> tuple[str, ...]:
    urls = value.split(",") if isinstance(value, str) else value
    return tuple(_url(_text(url).strip()) for url in urls if not isinstance(url, str) or url.strip())


def _token(value: Any) -> str:
    if len(_text(value).strip()) < 16:
        raise ValueError("too short")
    return str(value).strip()


def _percent(value: Any) -> int:
    percent = units.whole(value)
    if percent > 100:
        raise ValueError(value)
    return percent


def _concurrency(value: Any) -> int | str:
    return "auto" if value == "auto" else units.whole(value)


def _misfire(value: Any) -> str:
    return str(misfire.parse(_text(value)))


def _folder(value: Any) -> Path:
    path = Path(value)
    if not path.is_absolute() or path == path.parent:
        raise ValueError(value)
    return path


WHOLE = Kind(units.whole, "a whole number from 1 up")
NAME = Kind(_text, "a name")
NAMES = Kind(_names, "a list of names")
PATH = Kind(Path, "a path")
PATHS = Kind(lambda paths: tuple(map(Path, paths)), "a list of paths")
FOLDER = Kind(_folder, "the absolute path of a folder below /")
DURATION = Kind(units.duration, "a duration such as 30s, 5m, 2h or 7d")
SIZE = Kind(units.size, "a size such as 512MB")
OPTIONS = Kind(_options, "a dict")
FLAG = Kind(_flag, "True or False")
TEXT = Kind(_anything, "text")
MOMENT = Kind(_moment, "a datetime, or text such as 2030-01-31T08:00")
ZONE = Kind(zone, "a time zone such as Europe/Berlin")
URL = Kind(_url, "an http or https address of at most 500 characters")
SECRET_URL = Kind(_url, URL.expected, is_secret=True)
SECRET_URLS = Kind(_urls, "a list of http or https addresses of at most 500 characters", is_secret=True)
TOKEN = Kind(_token, "text of at least 16 characters that nobody can guess", is_secret=True)
PERCENT = Kind(_percent, "a whole number from 1 to 100")
MISFIRE = Kind(_misfire, 'once, skip, all, all:N or within:TIME (such as "within:10m")')
CONCURRENCY = Kind(
    lambda value: value if value == "auto" else units.whole(value), 'a whole number from 1 up, or "auto"'
)
