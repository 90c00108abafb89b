"""The manifest of a backup: what it is, in one JSON file. A backup exists when its manifest does."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, Self
from urllib.parse import quote, unquote

from .errors import ManifestBroken

SCHEMA_VERSION: Final = 1
_ID: Final = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
_MANIFEST: Final = re.compile(rf"(?P<id>{_ID})\.manifest\.json")
_DATA: Final = re.compile(rf"(?P<id>{_ID})\.(?P<alias>.+)\.(sqlite3)\.zst")


@dataclass(frozen=True)
class Manifest:
    """One backup. Sizes are bytes, hashes hexadecimal SHA-256: ``plain`` of the dump, ``stored`` of the file."""

    id: str
    alias: str
    engine: str
    file: str
    started: datetime
    finished: datetime
    plain_bytes: int
    plain_sha256: str
    stored_bytes: int
    stored_sha256: str
    compression: str
    tables: Mapping[str, int]
    """Rows by table, counted in the copy."""
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """The manifest's own file name."""
        return manifest_name(self.id)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON-able facts, ``schema_version`` first."""
        facts = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        return facts | {"started": self.started.isoformat(), "finished": self.finished.isoformat()}

    def to_json(self) -> bytes:
        """Return the manifest file's content."""
        return json.dumps(self.facts(), indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, *, name: str) -> Self:
        """Read a manifest file called ``name``. Raises ManifestBroken; nothing in it is trusted to be a path."""
        try:
            facts = json.loads(content)
            return cls._checked(facts, name)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ManifestBroken(name=name, reason=f"{type(error).__name__}: {error}") from error

    @classmethod
    def _checked(cls, facts: Mapping[str, Any], name: str) -> Self:
        if facts["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"its format is {facts['schema_version']!r}, and this version knows {SCHEMA_VERSION}")
        values = {entry.name: facts[entry.name] for entry in fields(cls)}
        values |= {key: _moment(values[key]) for key in ("started", "finished")}
        _require(values, str, "id", "alias", "engine", "file", "plain_sha256", "stored_sha256", "compression")
        _require(values, int, "plain_bytes", "stored_bytes")
        _require(values, dict, "tables", "versions")
        if manifest_name(values["id"]) != name:
            raise ValueError(f"it is that of backup {values['id']!r}")
        if owner(values["file"]) != (values["id"], values["alias"]):
            raise ValueError(f"its file {values['file']!r} is another backup's")
        return cls(**values)


def new_id(started: datetime) -> str:
    """Return a new id: the time in UTC and eight random hexadecimal digits, so that ids sort by time."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def manifest_name(id_: str) -> str:
    """Return the file name of a backup's manifest."""
    return f"{id_}.manifest.json"


def data_name(id_: str, alias: str, suffix: str) -> str:
    """Return the file name of a backup's data: ``<id>.<alias>.sqlite3.zst``. The alias is percent-encoded."""
    return f"{id_}.{quote(alias, safe='')}.{suffix}.zst"


def owner(file: str) -> tuple[str, str] | None:
    """Return (id, alias) of a data file's name; None for a file that is not ours."""
    found = _DATA.fullmatch(file)
    return (found["id"], unquote(found["alias"])) if found and "/" not in file else None


def manifest_id(file: str) -> str | None:
    """Return the id in a manifest file's name; None for another file."""
    found = _MANIFEST.fullmatch(file)
    return found["id"] if found else None


def started_second(id_: str) -> datetime:
    """Return when a backup began, to the second, by its id."""
    return datetime.strptime(id_.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset")
    return moment


def _require(values: Mapping[str, Any], kind: type, *keys: str) -> None:
    for key in keys:
        if not isinstance(values[key], kind) or isinstance(values[key], bool):
            raise TypeError(f"{key} is not {kind.__name__}")
