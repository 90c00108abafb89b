"""Proving several backups: which ones, and what came out of each."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from maintenance.errors import ConfigurationError
from maintenance.units import human_size

from . import catalog
from .destination import Destination
from .errors import Damaged
from .manifest import Manifest
from .report import contents
from .sidecars import Entry, Verified
from .verify import Progress, verify

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_DID: Final = {"hash": "its stored bytes are whole", "decode": "its dump reads to the end"}


class WhichBackup(ConfigurationError):
    """Pass a backup's id, latest, or --all."""


@dataclass(frozen=True)
class Outcome:
    """A backup that was looked at."""

    id: str
    alias: str
    size_bytes: int
    verified: Verified

    def line(self) -> str:
        """Return it in words."""
        name = f"{self.id} ({self.alias}, {human_size(self.size_bytes)})"
        if not self.verified.ok:
            return f"DAMAGED  {name}: {self.verified.reason}."
        odd = f" Odd: {'; '.join(self.verified.warnings)}." if self.verified.warnings else ""
        did = _DID.get(self.verified.level)
        if self.verified.tables is not None:
            did = f"restored, {contents(self.verified.tables)}"
        return f"ok  {name}: {did}.{odd}"

    def facts(self) -> dict[str, Any]:
        """Return it for a document."""
        return {"id": self.id, "alias": self.alias, **asdict(self.verified)}


def share(text: str) -> float:
    """Return ``10%`` as 0.1. Raises ValueError."""
    number = text.strip().removesuffix("%")
    if not text.strip().endswith("%") or not number.replace(".", "", 1).isdigit() or not 0 < float(number) <= 100:
        raise ValueError(f"{text!r} is not a share such as 10%")
    return float(number) / 100


def choose(entries: Sequence[Entry], *, share: float | None = None) -> tuple[Entry, ...]:
    """Return all, newest first; or the ``share`` of them that was not looked at for the longest time."""
    newest = sorted(entries, key=lambda entry: entry.manifest.started, reverse=True)
    if share is None:
        return tuple(newest)
    waiting = sorted(newest, key=lambda entry: entry.verified.at if entry.verified else _NEVER)
    return tuple(waiting[: math.ceil(share * len(waiting))])


def prove(
    destination: Destination,
    backup: Manifest,
    *,
    level: str,
    identity: Path | None,
    using: str,
    clock: Callable[[], datetime],
    progress: Progress = lambda stage, share: None,
) -> Outcome:
    """Verify a backup; a damaged one is an outcome. Raises what else verify() raises."""
    try:
        found = verify(destination, backup, level=level, now=clock(), identity=identity, using=using, progress=progress)
    except Damaged:
        noted = catalog.learnt(destination.storage, backup, Verified)
        if noted is None or noted.ok:
            raise
        found = noted
    return Outcome(backup.id, backup.alias, backup.stored_bytes, found)
