"""Proving several backups: which ones, and what came out of each."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from maintenance.errors import ConfigurationError
from maintenance.units import human_size

from . import catalog, verify
from .errors import Damaged
from .pulse import Watch, nobody
from .report import contents
from .shelves import Place
from .sidecars import Verified

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_DID: Final = {"hash": "its stored bytes are whole", "decode": "its dump reads to the end"}


class WhichBackup(ConfigurationError):
    """Pass a backup's id, latest, or --all."""


@dataclass(frozen=True)
class Means:
    """How far backups are proven, and with what."""

    level: str
    identity: Path | None = None
    """The file with the private key."""
    using: str = ""
    """The alias of DATABASES whose server takes the scratch databases; the backup's own without it."""


@dataclass(frozen=True)
class Outcome:
    """A backup that was looked at."""

    place: Place
    verified: Verified

    def line(self) -> str:
        """Return it in words."""
        backup = self.place.entry.manifest
        name = f"{backup.id} ({backup.alias}, {human_size(backup.stored_bytes)})"
        if not self.verified.ok:
            return f"DAMAGED  {name}: {self.verified.reason}."
        odd = f" Odd: {'; '.join(self.verified.warnings)}." if self.verified.warnings else ""
        did = _DID.get(self.verified.level)
        if self.verified.tables is not None:
            did = f"restored, {contents(self.verified.tables)}"
        return f"ok  {name}: {did}.{odd}"

    def facts(self) -> dict[str, Any]:
        """Return it for a document."""
        backup = self.place.entry.manifest
        about = {"id": backup.id, "alias": backup.alias, "destination": self.place.destination.label}
        return {**about, **asdict(self.verified), "at": self.verified.at.isoformat()}


def share(text: str) -> float:
    """Return ``10%`` as 0.1. Raises ValueError."""
    number = text.strip().removesuffix("%")
    if not text.strip().endswith("%") or not number.replace(".", "", 1).isdigit() or not 0 < float(number) <= 100:
        raise ValueError(f"{text!r} is not a share such as 10%")
    return float(number) / 100


def choose(places: Sequence[Place], *, share: float | None = None) -> tuple[Place, ...]:
    """Return all, newest first; or the ``share`` of them that was not looked at for the longest time."""
    newest = sorted(places, key=lambda place: place.entry.manifest.started, reverse=True)
    if share is None:
        return tuple(newest)
    waiting = sorted(newest, key=lambda place: place.entry.verified.at if place.entry.verified else _NEVER)
    return tuple(waiting[: math.ceil(share * len(waiting))])


def prove(place: Place, means: Means, *, clock: Callable[[], datetime], watch: Watch = nobody) -> Outcome:
    """Verify a backup. Raises what verify.verify() raises."""
    found = verify.verify(
        place.destination,
        place.entry.manifest,
        level=means.level,
        now=clock(),
        identity=means.identity,
        using=means.using,
        watch=watch,
    )
    return Outcome(place, found)


def examine(place: Place, means: Means, *, clock: Callable[[], datetime], watch: Watch = nobody) -> Outcome:
    """Do the same, but for a damaged backup return the outcome that was noted."""
    try:
        return prove(place, means, clock=clock, watch=watch)
    except Damaged:
        noted = catalog.learnt(place.destination.storage, place.entry.manifest, Verified)
        if noted is None or noted.ok:
            raise
        return Outcome(place, noted)
