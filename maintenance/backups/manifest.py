"""The manifest of a backup: what it is, in one JSON file. A backup exists when its manifest does."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Self

from .errors import ManifestBroken
from .names import DATABASE, Named, kind_of, manifest_name, owner

SCHEMA_VERSION: Final = 2
_HASH: Final = re.compile(r"[0-9a-f]{64}")
# What version 1 (SQLite only) did not say.
_SINCE_2: Final[Mapping[str, Any]] = {
    "kind": DATABASE,
    "host": "",
    "project": "",
    "stages": [],
    "encryption": "",
    "recipients": [],
    "excluded": [],
    "migrations": {},
    "tag": "",
    "warnings": [],
}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One backup. Sizes are bytes, hashes hexadecimal SHA-256: ``plain`` of the dump, ``stored`` of the file.

    It is written once and never changed: what is learnt later stands in files beside it.
    """

    id: str
    alias: str
    kind: str = DATABASE
    """``database``, or ``media``: then ``alias`` is one of STORAGES, or a folder's name."""
    engine: str
    """``sqlite``, ``postgresql``, ``mysql`` (MariaDB too) or ``files``."""
    file: str
    host: str = ""
    project: str = ""
    started: datetime
    finished: datetime
    stages: tuple[tuple[str, float], ...] = ()
    """Seconds by stage, in their order."""
    plain_bytes: int
    plain_sha256: str
    stored_bytes: int
    stored_sha256: str
    compression: str = "zstd"
    encryption: str = ""
    """``age``, or nothing."""
    recipients: tuple[str, ...] = ()
    """The public keys that it was encrypted to."""
    tables: Mapping[str, int] | None
    """Rows by table in the dump's own snapshot; None where they have not been counted."""
    excluded: tuple[str, ...] = ()
    """The tables whose rows were left out."""
    migrations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The last applied migrations by app."""
    versions: Mapping[str, str]
    tag: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The manifest's own file name."""
        return manifest_name(self.id)

    def facts(self) -> dict[str, Any]:
        """Return it as JSON-able facts, ``schema_version`` first."""
        moments = {"started": self.started.isoformat(), "finished": self.finished.isoformat()}
        return {"schema_version": SCHEMA_VERSION, **_listed(asdict(self) | moments)}

    def to_json(self) -> bytes:
        """Return the manifest file's content."""
        return json.dumps(self.facts(), indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, *, name: str) -> Self:
        """Read a manifest file called ``name``. Raises ManifestBroken; nothing in it is trusted to be a path."""
        try:
            return cls._checked(json.loads(content), name)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ManifestBroken(name=name, reason=f"{type(error).__name__}: {error}") from error

    @classmethod
    def _checked(cls, facts: Mapping[str, Any], name: str) -> Self:
        version = facts["schema_version"]
        if version not in (1, SCHEMA_VERSION) or isinstance(version, bool):
            raise ValueError(f"its format is {version!r}, and this version knows {SCHEMA_VERSION}")
        given = {**_SINCE_2, **facts} if version == 1 else facts
        values = {entry.name: given[entry.name] for entry in fields(cls)}
        _require_kinds(values)
        values |= {key: moment(values[key]) for key in ("started", "finished")}
        values |= {key: tuple(values[key]) for key in ("recipients", "excluded", "warnings")}
        values["stages"] = tuple((str(stage), float(seconds)) for stage, seconds in values["stages"])
        values["migrations"] = {app: tuple(heads) for app, heads in values["migrations"].items()}
        if manifest_name(values["id"]) != name:
            raise ValueError(f"it is that of backup {values['id']!r}")
        if owner(values["file"]) != tuple(values[key] for key in Named._fields):
            raise ValueError(f"its file {values['file']!r} is another backup's")
        if values["kind"] != kind_of(values["engine"]):
            raise ValueError(f"its engine {values['engine']!r} makes no backups of kind {values['kind']!r}")
        return cls(**values)


def _listed(value: Any) -> Any:
    """Return ``value`` with lists for tuples: as JSON gives it back."""
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def moment(text: str) -> datetime:
    """Return a time with its offset. Raises ValueError without one."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset")
    return found


def _require_kinds(values: Mapping[str, Any]) -> None:
    _require(values, str, "id", "alias", "kind", "engine", "file", "host", "project", "tag", "compression")
    _require(values, str, "encryption", "started", "finished")
    _require(values, int, "plain_bytes", "stored_bytes")
    _require(values, list, "stages", "recipients", "excluded", "warnings")
    _require(values, dict, "migrations", "versions")
    for key in ("plain_sha256", "stored_sha256"):
        if not isinstance(values[key], str) or not _HASH.fullmatch(values[key]):
            raise ValueError(f"{key} is no SHA-256")
    for key in ("recipients", "excluded", "warnings"):
        _require(dict(enumerate(values[key])), str, *range(len(values[key])))
    _require(values["versions"], str, *values["versions"])
    _require(values["migrations"], list, *values["migrations"])
    if values["tables"] is not None:
        _require(values, dict, "tables")
        _require(values["tables"], int, *values["tables"])


def _require(values: Mapping[Any, Any], kind: type, *keys: Any) -> None:
    for key in keys:
        value: Any = values[key]
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value < 0):
            raise TypeError(f"{key} is not {kind.__name__}")
