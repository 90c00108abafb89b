"""What an engine is given to read a backup."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .found import Found
from .manifest import Manifest
from .pulse import Watch
from .unpack import Sink

Commit = Callable[[], Found]
"""Puts a prepared backup in the database's place, and returns what that holds now."""


@dataclass(frozen=True)
class Job:
    """One backup on its way back."""

    backup: Manifest
    feed: Callable[[Sink], None]
    """Passes the dump to a sink; only after its return the dump is known to be whole. Each call reads it anew."""
    folder: Path
    """A private folder, removed afterwards."""
    watch: Watch
    """Is told the stage, the bytes of it that are done, and all of them."""


class Reader(Protocol):
    """The read side of an engine. All raise Broken where the dump is no good, and pass what ``feed`` raises."""

    def decode(self, job: Job, *, using: str) -> tuple[str, ...]:
        """Read the whole dump with the engine's own program; return what is odd. ``using`` is an alias of DATABASES."""

    def drill(self, job: Job, *, using: str) -> Found:
        """Restore into a scratch database on the server of ``using``, look at it, and remove it."""

    def beside(self, job: Job, *, name: str, using: str) -> Found:
        """Restore into the new database ``name`` on the server of ``using``. Raises NameTaken."""

    def over(self, job: Job, *, alias: str) -> AbstractContextManager[Commit]:
        """Prepare to restore over the database ``alias`` without touching it yet."""

    def recover(self, *, alias: str) -> str:
        """Finish or revert a restore of ``alias`` that was killed; return what was done, or nothing."""
