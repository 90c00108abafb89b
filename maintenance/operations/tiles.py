"""The tiles: a figure each of what the checks have seen, in their colour. Any other check that is ill shows too."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..health.base import Figure
from ..health.runner import FAILED, OK, UNKNOWN, WARNING, Answer, Finding
from ..units import counted, human_duration

MOST_FAILURES: Final = 1000
"""More are not counted."""
WORDS: Final = {OK: "OK", WARNING: "Warning", FAILED: "Failed", UNKNOWN: "Could not ask"}
_WORST: Final = (FAILED, UNKNOWN, WARNING, OK)


@dataclass(frozen=True)
class Tile:
    """A figure with its state, what was found, and what to do where something is wrong."""

    id: str
    title: str
    state: str
    figure: str
    details: tuple[str, ...] = ()
    cures: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The state in words: colour alone tells nothing to whom cannot see it."""
        return WORDS[self.state]


def _workers(figures: Sequence[Figure]) -> str:
    return _whole(figures, "workers_answering")


def _queues(figures: Sequence[Figure]) -> str:
    waiting = [figure.value for figure in figures if figure.name == "queue_messages"]
    return f"{sum(waiting):.0f} waiting" if waiting else ""


def _beat(figures: Sequence[Figure]) -> str:
    leaders = [figure for figure in figures if figure.name == "beat_leader"]
    return next((figure.labels.get("holder", "") or "none" for figure in leaders), "")


def _late(figures: Sequence[Figure]) -> str:
    return _whole(figures, "schedules_late")


def _backups(figures: Sequence[Figure]) -> str:
    ages = [figure.value for figure in figures if figure.name == "backup_age_seconds"]
    return f"{human_duration(round(max(ages)))} ago" if ages else ""


# The id and title of a tile, whose checks it is about, and what of their figures it shows.
_TILES: Final[tuple[tuple[str, str, tuple[str, ...], Callable[[Sequence[Figure]], str]], ...]] = (
    ("workers", "Workers", ("workers",), _workers),
    ("queues", "Queues", ("queues", "queue.age"), _queues),
    ("beat", "Beat leader", ("beat",), _beat),
    ("late", "Late schedules", ("schedules.late",), _late),
    ("backups", "Last backup", ("backups",), _backups),
)


def of(answers: Iterable[Answer], *, failed_today: int | None) -> list[Tile]:
    """Return a tile for each subject that has checks, for the failures of a day, and for each other check that is ill.

    ``failed_today`` is None where results are not stored.
    """
    found = list(answers)
    tiles = []
    for id, title, checks, figure in _TILES:
        ours = [answer for answer in found if answer.finding.id.partition(":")[0] in checks]
        if ours:
            seen = [each for answer in ours for each in answer.figures]
            tile = _tile(id, title, [answer.finding for answer in ours], figure(seen))
            tiles.append(replace(tile, details=_proof(seen, tile)) if id == "backups" else tile)
    failures = [answer.finding for answer in found if answer.finding.id == "results.failures"]
    if failed_today is not None:
        tiles.append(_failures(failed_today, failures))
    told = {"results.failures", *(check for _, _, checks, _ in _TILES for check in checks)}
    others = [answer.finding for answer in found if answer.finding.id.partition(":")[0] not in told]
    return [*tiles, *(_tile(each.id, each.title.capitalize(), [each], "") for each in others if each.state != OK)]


def silent(reason: str) -> Tile:
    """Return the tile that stands for all where the checks themselves did not answer."""
    return Tile("checks", "Checks", UNKNOWN, "", (f"{reason.capitalize()}.",))


def _proof(figures: Sequence[Figure], tile: Tile) -> tuple[str, ...]:
    """Return when a backup was last verified, and what is wrong, if anything."""
    ages = [figure.value for figure in figures if figure.name == "backup_verified_age_seconds"]
    words = f"Verified {human_duration(round(min(ages)))} ago." if ages else "Never verified."
    return (words,) if tile.state == OK else (words, *tile.details)


def _failures(number: int, findings: Sequence[Finding]) -> Tile:
    figure = str(number) if number < MOST_FAILURES else f"{number:,} or more"
    if findings:
        return _tile("failures", "Failures in 24 h", findings, figure)
    words = (counted(number, "run") + " failed.",)
    return Tile("failures", "Failures in 24 h", WARNING if number else OK, figure, words)


def _tile(id: str, title: str, findings: Sequence[Finding], figure: str) -> Tile:
    state = min((finding.state for finding in findings), key=_WORST.index)
    worst = [finding for finding in findings if finding.state == state]
    details = tuple(dict.fromkeys(" ".join(filter(None, (each.message, each.consequence))) for each in worst))
    cures = tuple(dict.fromkeys(each.cure for each in worst if each.cure and state != OK))
    return Tile(id, title, state, figure or ("" if state == OK else "?"), details, cures)


def _whole(figures: Sequence[Figure], name: str) -> str:
    return next((f"{figure.value:.0f}" for figure in figures if figure.name == name), "")
