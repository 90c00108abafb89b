"""Backups: in each destination a fresh one of each database, no smaller than it should be, and proven to restore."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import ClassVar, Final

from django.db import Error
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min
from django.utils.connection import ConnectionDoesNotExist

from ...backups import catalog
from ...backups.destination import Destination
from ...backups.names import DATABASE
from ...backups.sidecars import Entry
from ...units import counted, human_duration, human_size
from ..base import Check, Figure
from ..memory import Memory

# Of how many former backups the usual size is taken.
_FORMER: Final = 5
_near: Memory[catalog.Catalog] = Memory(15.0)
_far: Memory[catalog.Catalog] = Memory(300.0, at_most=900.0)


@dataclass(repr=False)
class Backups(Check):
    """The backups of some databases in one destination."""

    destination: Destination
    databases: Sequence[str] = ("default",)
    age: timedelta = timedelta(hours=26)
    shrink_percent: int = 50
    verified_age: timedelta = timedelta(days=8)
    label: str = field(default="", repr=False)
    id: ClassVar[str] = "backups"
    title: ClassVar[str] = "backups"
    consequence: ClassVar[str] = "What was written since the last good one would be lost with the database."
    cure: ClassVar[str] = "See `manage.py list_backups`, and make one: `manage.py backup`."

    def ask(self) -> Iterator[str | Figure]:
        memory = _near if self.destination.is_local else _far
        found = memory.recall(self._place, lambda: catalog.read(self.destination.storage))
        now, ill, doubtful = datetime.now(UTC), [], []
        for alias in self.databases:
            ours = [entry for entry in found.entries if entry.group[:2] == (alias, DATABASE)]
            if not ours and self._young(alias, now):
                yield f"{alias!r} is too young to need one already."
                continue
            if not ours:
                ill.append(f"{alias!r} has no backup in {self.destination.label}.")
                continue
            yield from self._figures(alias, ours, now)
            ill += self._old(alias, ours, now)
            ill += self._damaged(alias, ours)
            doubtful += [*self._small(alias, ours), *self._unproven(alias, ours, now)]
        if found.broken:
            doubtful.append(f"{found.broken[0]!r} cannot be read.")
        if ill:
            raise self.failed(" ".join([*ill, *doubtful]))
        if doubtful:
            raise self.warning(" ".join(doubtful), cure="See `manage.py list_backups` and `manage.py verify_backup`.")
        fresh = sum(any(entry.group[:2] == (alias, DATABASE) for entry in found.entries) for alias in self.databases)
        if fresh:
            yield f"{counted(fresh, 'database')} in {self.destination.label}, with fresh ones."

    @property
    def _place(self) -> tuple[str, str]:
        return self.destination.alias, self.destination.label

    def _young(self, alias: str, now: datetime) -> bool:
        """Return whether nothing in a database can be older than its newest backup may be."""
        try:
            applied = MigrationRecorder.Migration.objects.using(alias).aggregate(first=Min("applied"))["first"]
        except (Error, ConnectionDoesNotExist):
            return False
        return applied is not None and now - (applied if applied.tzinfo else applied.replace(tzinfo=UTC)) < self.age

    def _figures(self, alias: str, ours: list[Entry], now: datetime) -> Iterator[Figure]:
        which, newest = {"database": alias, "destination": self.destination.alias}, ours[-1].manifest
        yield Figure("backup_age_seconds", (now - newest.finished).total_seconds(), which)
        yield Figure("backup_size_bytes", newest.stored_bytes, which)
        yield Figure("backups", len(ours), which)
        proven = [entry.verified.at for entry in ours if entry.verified and entry.verified.ok]
        if proven:
            yield Figure("backup_verified_age_seconds", (now - max(proven)).total_seconds(), which)

    def _old(self, alias: str, ours: list[Entry], now: datetime) -> list[str]:
        old = now - ours[-1].manifest.finished
        if old <= self.age:
            return []
        return [f"The newest backup of {alias!r} in {self.destination.label} is {_length(old)} old."]

    def _damaged(self, alias: str, ours: list[Entry]) -> list[str]:
        last = ours[-1].verified
        return [f"The newest backup of {alias!r} is damaged: {last.reason}."] if last and not last.ok else []

    def _small(self, alias: str, ours: list[Entry]) -> list[str]:
        former = [entry.manifest.plain_bytes for entry in ours[-1 - _FORMER : -1]]
        size = ours[-1].manifest.plain_bytes
        if not former or size * 100 >= (100 - self.shrink_percent) * median(former):
            return []
        usual = human_size(round(median(former)))
        return [f"The newest backup of {alias!r} holds {human_size(size)} instead of the usual {usual}."]

    def _unproven(self, alias: str, ours: list[Entry], now: datetime) -> list[str]:
        proven = [entry.verified.at for entry in ours if entry.verified and entry.verified.ok]
        since = max(proven, default=ours[0].manifest.finished)
        if now - since <= self.verified_age:
            return []
        what = "Its last good verification is" if proven else "None was ever verified, and the first is"
        return [f"Backups of {alias!r} are not proven. {what} {_length(now - since)} old."]


def forget() -> None:
    """Look anew next time."""
    _near.forget()
    _far.forget()


def _length(time: timedelta) -> str:
    return human_duration(round(time.total_seconds()))
