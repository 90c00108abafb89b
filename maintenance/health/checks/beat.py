"""Beat: whether one leads, and ticks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from ...models import Lease
from ...timestamp import Now
from .. import asking
from ..base import Check, Figure


@dataclass(repr=False)
class Beat(Check):
    """A beat holds the lease and renews it, by the database's clock. Without an enabled schedule none is needed."""

    lease_ttl: timedelta = timedelta(seconds=15)
    id: ClassVar[str] = "beat"
    title: ClassVar[str] = "beat"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations")
    consequence: ClassVar[str] = "No schedule is sent."
    cure: ClassVar[str] = "Start it: `manage.py run_beat`. (One with --no-lease cannot be seen from here.)"

    def ask(self) -> Iterator[str | Figure]:
        from ...schedules import enabled  # whose tables a project may lack

        with asking.the_database():
            row = Lease.objects.filter(name="beat").annotate(now=Now()).first()
            wanted = enabled.some(using=enabled.alias())
        leads = row is not None and row.expires > row.now
        if row is not None:
            # It is renewed in the thread that ticks, to last for its whole life each time.
            yield Figure("beat_tick_age_seconds", max(0.0, (row.now - row.expires + self.lease_ttl).total_seconds()))
        yield Figure("beat_leader", float(leads), {"holder": row.host_and_process if row and leads else ""})
        if leads and row is not None:
            yield f"{row.host_and_process} leads since {row.since.isoformat(timespec='seconds')}."
        elif wanted:
            last = f" since {row.expires.isoformat(timespec='seconds')}" if row else ""
            raise self.failed(f"None leads{last}.")
        else:
            yield "No schedule is enabled, so none is needed."
