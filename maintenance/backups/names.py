"""What the files of a backup are called, and what a name says. Ids sort by time."""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

DATABASE, MEDIA = "database", "media"
AGE: Final = "age"
# What a backup's data is called after its alias, by engine.
SUFFIXES: Final[Mapping[str, str]] = {"sqlite": "sqlite3", "postgresql": "pgdump", "mysql": "sql", "files": "tar"}
_ENGINES: Final = {suffix: engine for engine, suffix in SUFFIXES.items()}
ID: Final = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
_MANIFEST: Final = re.compile(rf"(?P<id>{ID})\.manifest\.json")
_DATA: Final = re.compile(rf"(?P<id>{ID})\.(?P<alias>[^/]+)\.(?P<suffix>{'|'.join(_ENGINES)})\.zst(?P<age>\.age)?")


class Named(NamedTuple):
    """What a data file's name says."""

    id: str
    alias: str
    engine: str
    encryption: str

    @property
    def kind(self) -> str:
        """Return ``database`` or ``media``."""
        return kind_of(self.engine)


def new_id(started: datetime) -> str:
    """Return a new id: the time in UTC and eight random hexadecimal digits, so that ids sort by time."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def manifest_name(id_: str) -> str:
    """Return the file name of a backup's manifest."""
    return f"{id_}.manifest.json"


def data_name(id_: str, alias: str, engine: str, encryption: str = "") -> str:
    """Return the file name of a backup's data: ``<id>.<alias>.sqlite3.zst``, and ``.age`` when it is encrypted.

    The alias is percent-encoded.
    """
    return f"{id_}.{quote(alias, safe='')}.{SUFFIXES[engine]}.zst{'.age' if encryption else ''}"


def owner(file: str) -> Named | None:
    """Return what a data file's name says; None for a file that is not ours."""
    found = _DATA.fullmatch(file)
    if not found:
        return None
    return Named(found["id"], unquote(found["alias"]), _ENGINES[found["suffix"]], AGE if found["age"] else "")


def manifest_id(file: str) -> str | None:
    """Return the id in a manifest file's name; None for another file."""
    found = _MANIFEST.fullmatch(file)
    return found["id"] if found else None


def started_second(id_: str) -> datetime:
    """Return when a backup began, to the second, by its id."""
    return datetime.strptime(id_.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def kind_of(engine: str) -> str:
    """Return the kind of backup that an engine makes."""
    return MEDIA if engine == "files" else DATABASE
