"""Runs: how the last run of each maintenance schedule ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ... import results
from .. import asking
from ..base import Check, Figure


@dataclass(repr=False)
class Runs(Check):
    """The last run of each schedule of a maintenance task ended well: a failed backup is told at once."""

    id: ClassVar[str] = "schedules.failed"
    title: ClassVar[str] = "maintenance runs"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations")
    consequence: ClassVar[str] = "What it does was not done: a backup, or cleaning."
    cure: ClassVar[str] = "See `manage.py list_results --status FAILURE`, then `manage.py run_schedule NAME`."

    def ask(self) -> Iterator[str | Figure]:
        from ...schedules import enabled  # whose tables a project may lack

        with asking.the_database():
            names = list(enabled.tasks(using=enabled.alias(), prefix="maintenance."))
            ended = results.last_of_schedules(names) if names else {}
        bad = {name: found for name, found in ended.items() if found.status == "FAILURE"}
        yield Figure("schedules_failed", len(bad))
        if bad:
            name, found = min(bad.items())
            more = f" So did {len(bad) - 1} more." if len(bad) > 1 else ""
            raise self.failed(f"The last run of {name!r} failed at {found.at.isoformat(timespec='seconds')}.{more}")
        yield f"The last of each of {len(ended)} ended well."
