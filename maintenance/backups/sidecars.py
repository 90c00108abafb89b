"""What is learned about a backup after it was made: small files beside its manifest, which itself never changes."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from .errors import SidecarBroken
from .manifest import Manifest, moment
from .names import ID

LEVELS: Final = ("hash", "decode", "restore")
_NAME: Final = re.compile(rf"(?P<id>{ID})\.(?P<kind>verified|pinned)\.json")


@dataclass(frozen=True)
class Verified:
    """The last verification: how far it went, and whether the backup passed."""

    level: str
    """hash: the stored bytes are those that were stored; decode: read to its end; restore: restored and compared."""
    at: datetime
    ok: bool
    reason: str = ""
    """Why it failed."""
    tables: Mapping[str, int] | None = None
    """Rows by table, counted in the restored database."""
    versions: Mapping[str, str] | None = None
    warnings: tuple[str, ...] = ()
    """What is odd in it, but no damage."""

    @property
    def restored(self) -> bool:
        """Whether it is proven that the backup restores."""
        return self.ok and self.level == "restore"


@dataclass(frozen=True)
class Pinned:
    """Somebody wants it kept."""

    at: datetime
    reason: str = ""


Sidecar = Verified | Pinned
SidecarKind = TypeVar("SidecarKind", Verified, Pinned)


@dataclass(frozen=True)
class Entry:
    """A backup and what was learned about it since."""

    manifest: Manifest
    verified: Verified | None = None
    pinned: Pinned | None = None

    @property
    def good(self) -> bool:
        """Whether its last verification passed, at whatever level."""
        return self.verified is not None and self.verified.ok

    @property
    def failed(self) -> bool:
        """Whether its last verification failed."""
        return self.verified is not None and not self.verified.ok

    @property
    def group(self) -> tuple[str, str, str]:
        """What it is a backup of: retention counts each by itself."""
        return self.manifest.alias, self.manifest.kind, self.manifest.engine


def name(id_: str, kind: type[Sidecar]) -> str:
    """Return the file name of a sidecar."""
    return f"{id_}.{kind.__name__.lower()}.json"


def owner(file: str) -> str | None:
    """Return the backup's id in a sidecar's name; None for another file."""
    found = _NAME.fullmatch(file)
    return found["id"] if found else None


def to_json(sidecar: Sidecar) -> bytes:
    """Return a sidecar file's content."""
    facts = {"schema_version": 1, **asdict(sidecar), "at": sidecar.at.isoformat()}
    return json.dumps(facts, indent=2, ensure_ascii=False).encode() + b"\n"


def from_json(content: bytes, kind: type[SidecarKind], *, file: str) -> SidecarKind:
    """Read a sidecar file. Raises SidecarBroken."""
    try:
        facts: dict[str, Any] = json.loads(content)
        if facts.pop("schema_version") != 1:
            raise ValueError("this version does not know its format")
        facts["at"] = moment(facts["at"])
        if kind is Verified and (facts["level"] not in LEVELS or not isinstance(facts["ok"], bool)):
            raise ValueError("its level or outcome is none")
        if "warnings" in facts:
            facts["warnings"] = tuple(facts["warnings"])
        return kind(**facts)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SidecarBroken(name=file, reason=f"{type(error).__name__}: {error}") from error
