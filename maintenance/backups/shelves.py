"""Backups across several destinations: which are there, and where one is."""

from collections.abc import Sequence
from dataclasses import dataclass

from . import catalog
from .catalog import LATEST, Catalog
from .destination import Destination
from .errors import NoBackup
from .names import DATABASE
from .sidecars import Entry


@dataclass(frozen=True)
class Shelf:
    """A destination and what it holds."""

    destination: Destination
    catalog: Catalog


@dataclass(frozen=True)
class Place:
    """A backup, and the destination that it is read from."""

    destination: Destination
    entry: Entry


def look(destinations: Sequence[Destination]) -> tuple[Shelf, ...]:
    """Return what each destination holds."""
    return tuple(Shelf(one, catalog.read(one.storage)) for one in destinations)


def find(shelves: Sequence[Shelf], wanted: str, *, alias: str) -> tuple[Place, ...]:
    """Return the backup with the id ``wanted``, or the ``latest`` one of a database, wherever it is.

    Folders of this machine come first. Raises NoBackup.
    """
    nearest = sorted(shelves, key=lambda shelf: not shelf.destination.is_local)
    there = [Place(shelf.destination, entry) for shelf in nearest for entry in shelf.catalog.entries]
    if wanted == LATEST:
        ours = [place.entry.manifest for place in there if place.entry.group[:2] == (alias, DATABASE)]
        wanted = max(ours, key=lambda one: (one.started, one.id)).id if ours else f"{LATEST} of {alias}"
    found = tuple(place for place in there if place.entry.manifest.id == wanted)
    if not found:
        raise NoBackup(wanted=wanted, where=", ".join(shelf.destination.label for shelf in shelves))
    return found
