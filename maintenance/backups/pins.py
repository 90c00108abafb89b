"""Keeping a backup whatever retention says: a mark beside its manifest, wherever the backup is."""

from collections.abc import Sequence
from datetime import datetime

from . import catalog
from .destination import writing
from .manifest import Manifest
from .shelves import Place
from .sidecars import Pinned


def pin(places: Sequence[Place], *, reason: str, now: datetime) -> Manifest:
    """Mark a backup in each of its places, and return it. Raises CannotWrite."""
    for place in places:
        with writing(place.destination):
            catalog.note(place.destination.storage, place.entry.manifest, Pinned(now, reason))
    return places[0].entry.manifest


def unpin(places: Sequence[Place]) -> Manifest:
    """Take the marks away, and return the backup. Raises CannotWrite."""
    for place in places:
        with writing(place.destination):
            catalog.forget(place.destination.storage, place.entry.manifest, Pinned)
    return places[0].entry.manifest
