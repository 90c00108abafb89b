"""The tiles: a figure each, in the colour of its check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ..backups.manifest import DATABASE
from ..backups.report import age
from ..backups.shelves import Shelf
from ..units import counted
from .asking import Answer

OK, WARNING, FAILED, UNKNOWN = "ok", "warning", "failed", "unknown"
WORDS = {OK: "OK", WARNING: "Warning", FAILED: "Failed", UNKNOWN: "Could not ask"}


class Finding(Protocol):
    """What a check found."""

    @property
    def state(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def consequence(self) -> str: ...
    @property
    def cure(self) -> str: ...


@dataclass(frozen=True)
class Tile:
    """A figure with its state, a line about it, and what to do where something is wrong."""

    id: str
    title: str
    state: str
    figure: str
    detail: str = ""
    cure: str = ""

    @property
    def word(self) -> str:
        """The state in words: colour alone tells nobody who cannot see it."""
        return WORDS.get(self.state, self.state)


def workers(answer: Answer) -> Tile:
    """Return the tile of the workers that answer."""
    if answer.trouble:
        return _silent("workers", "Workers", answer)
    names: Sequence[str] = answer.value
    state = OK if names else FAILED
    return Tile("workers", "Workers", state, str(len(names)), ", ".join(names) or "None answers: tasks wait.")


def queues(answer: Answer) -> Tile:
    """Return the tile of the waiting messages."""
    if answer.trouble:
        return _silent("queues", "Queues", answer)
    words = ", ".join(f"{queue.name} {queue.waiting}" for queue in answer.value)
    return Tile("queues", "Queues", OK, f"{sum(queue.waiting for queue in answer.value)} waiting", words)


def beat(holding: Any, now: datetime) -> Tile:
    """Return the tile of beat's leader."""
    if holding is None:
        return Tile("beat", "Beat leader", WARNING, "none", "No beat of this project holds the lease.")
    return Tile("beat", "Beat leader", OK, str(holding.holder), f"leads since {age(holding.since, now)}")


def late(answer: Answer) -> Tile:
    """Return the tile of late schedules."""
    if answer.trouble:
        return _silent("schedules.late", "Late schedules", answer)
    names: Sequence[str] = answer.value
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    state = FAILED if names else OK
    return Tile("schedules.late", "Late schedules", state, str(len(names)), ", ".join(names[:3]) + more)


def failures(number: int) -> Tile:
    """Return the tile of the failures of a day."""
    state = WARNING if number else OK
    return Tile("results.failures", "Failures in 24 h", state, str(number), counted(number, "failed run"))


def backups(answer: Answer, now: datetime) -> Tile:
    """Return the tile of the newest backup of a database, and of the last proof of one."""
    if answer.trouble:
        return _silent("backups", "Last backup", answer)
    held: Sequence[Shelf] = answer.value
    entries = [each for shelf in held for each in shelf.catalog.entries if each.manifest.kind == DATABASE]
    if not entries:
        return Tile("backups", "Last backup", WARNING, "none", "There is no backup of a database.")
    newest = max(entries, key=lambda each: each.manifest.started)
    proofs = [each.verified for each in entries if each.verified]
    proof = max(proofs, key=lambda each: each.at) if proofs else None
    words = "never verified" if proof is None else f"{'verified' if proof.ok else 'DAMAGED'} {age(proof.at, now)} ago"
    state = FAILED if proof and not proof.ok else OK if proof else WARNING
    return Tile("backups", "Last backup", state, f"{age(newest.manifest.started, now)} ago", words)


def coloured(tiles: Sequence[Tile], findings: Mapping[str, Finding]) -> list[Tile]:
    """Return the tiles in the colours of their checks, with what those say where something is wrong."""
    return [_coloured(tile, findings[tile.id]) if tile.id in findings else tile for tile in tiles]


def _coloured(tile: Tile, finding: Finding) -> Tile:
    if finding.state == OK:
        return Tile(tile.id, tile.title, tile.state if tile.state == UNKNOWN else OK, tile.figure, tile.detail)
    words = " ".join(filter(None, (finding.message, finding.consequence)))
    return Tile(tile.id, tile.title, finding.state, tile.figure, words or tile.detail, finding.cure)


def _silent(id: str, title: str, answer: Answer) -> Tile:
    return Tile(id, title, UNKNOWN, "?", answer.trouble)
