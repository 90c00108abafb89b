"""What is kept: schedules, failures and results in the database, backups in their storages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from ... import results, space
from ...backups import shelves
from ...backups.destination import Destination
from ...backups.names import DATABASE
from ...results import listing as results_listing
from .. import asking
from .part import Part, Rows

NEXT: Final = 5
FAILURES: Final = 5


@dataclass(repr=False)
class Schedules(Part):
    """The enabled schedules: the next runs after ``now`` (aware), and the late ones."""

    now: datetime
    id: ClassVar[str] = "schedules"
    title: ClassVar[str] = "Schedules"

    def rows(self) -> Rows:
        if not apps.is_installed("django_celery_beat"):
            return []
        from ...schedules import listing

        with asking.the_database():
            found = listing.schedules(now=self.now, using=DEFAULT_DB_ALIAS)
        coming = sorted((each for each in found if each.next_runs), key=lambda each: each.next_runs[0])
        shown = [each for each in coming if each.late] + [each for each in coming if not each.late][:NEXT]
        return [
            {"name": each.entry.name, "task": each.entry.task, "due": each.next_runs[0], "late": each.late}
            for each in shown
        ]


@dataclass(repr=False)
class Failures(Part):
    """The last failures."""

    id: ClassVar[str] = "failures"
    title: ClassVar[str] = "Failures"

    def rows(self) -> Rows:
        if not apps.is_installed("django_celery_results"):
            return []
        with asking.the_database():
            found = results_listing.read(results_listing.select(failed=True), limit=FAILURES)
        return [{"task": each.task, "id": each.id, "at": each.at, "error": each.error} for each in found]


@dataclass(repr=False)
class Backups(Part):
    """The newest backup of each database and destination, and the last proof of one."""

    destinations: Sequence[Destination] = ()
    id: ClassVar[str] = "backups"
    title: ClassVar[str] = "Backups"

    def rows(self) -> Rows:
        rows: Rows = []
        for shelf in shelves.look(self.destinations):
            entries = [entry for entry in shelf.catalog.entries if entry.manifest.kind == DATABASE]
            for alias in dict.fromkeys(entry.manifest.alias for entry in entries):
                ours = [entry for entry in entries if entry.manifest.alias == alias]
                newest = max(ours, key=lambda entry: entry.manifest.started).manifest
                proofs = [entry.verified for entry in ours if entry.verified]
                proof = max(proofs, key=lambda proof: proof.at) if proofs else None
                rows.append(
                    {
                        "alias": alias,
                        "destination": shelf.destination.alias or shelf.destination.label,
                        "id": newest.id,
                        "finished": newest.finished,
                        "bytes": newest.stored_bytes,
                        "verified": proof and proof.at,
                        "verified_level": proof and proof.level,
                        "verified_ok": proof and proof.ok,
                    }
                )
        return rows


@dataclass(repr=False)
class Results(Part):
    """The size of the results' tables; on SQLite of the whole file."""

    id: ClassVar[str] = "results"
    title: ClassVar[str] = "Results"

    def rows(self) -> Rows:
        if not apps.is_installed("django_celery_results"):
            return []
        with asking.the_database():
            using, names = results.alias(), results.table_names()
            found = space.measure(names, using=using)
            last = results_listing.select().values_list("date_done", flat=True).first()
        whole = space.blocks_writers(using)
        return [{"database": using, "bytes": found.bytes, "of_whole_file": whole, "newest": last}]
