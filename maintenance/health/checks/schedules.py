"""Schedules: whether they run in time, and whether the tables hold what the settings declare."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from ... import project, results
from .. import asking
from ..base import Figure, OfApp
from ..memory import Memory

# Ten thousand schedules take longer than a request should: they are looked at once a minute.
_FRESH: Final = 60.0
# How far back runs that did not end are looked for: older results may be deleted.
_BACK: Final = timedelta(days=1)
_NO_LIMIT: Final = timedelta(hours=1)
_late: Memory[tuple[dict[str, str], int]] = Memory(_FRESH, at_most=3 * _FRESH)
_drift: Memory[str] = Memory(_FRESH, at_most=3 * _FRESH)


@dataclass(repr=False)
class Late(OfApp):
    """Every enabled schedule was sent when it was due, and what was sent has ended."""

    id: ClassVar[str] = "schedules.late"
    title: ClassVar[str] = "late schedules"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations")
    consequence: ClassVar[str] = "What they do is not done."
    cure: ClassVar[str] = "See that beat leads and workers consume the queues: `manage.py list_schedules --late`."

    def ask(self) -> Iterator[str | Figure]:
        from ...schedules import enabled  # whose tables a project may lack

        with asking.the_database():
            using = enabled.alias()
            late, count = _late.recall((self.app, using), lambda: self._look(using), mark=enabled.mark(using=using))
        yield Figure("schedules_late", len(late))
        yield Figure("schedules", count)
        if late:
            shown = "; ".join(f"{name!r} {why}" for name, why in list(late.items())[:3])
            more = f"; and {len(late) - 3} more" if len(late) > 3 else ""
            raise self.failed(f"{shown}{more}.")
        yield f"All of {count} are in time." if count else "There is none."

    def _look(self, using: str) -> tuple[dict[str, str], int]:
        from ...schedules import listing

        project.discover(self.app)  # what a task's limit is, its module knows
        now = datetime.now(UTC)
        found = listing.schedules(now=now, using=using)
        late = {each.entry.name: f"was due at {_text(each.next_runs[0])}" for each in found if each.late}
        return late | self._unfinished(found, now), len(found)

    def _unfinished(self, found: list[Any], now: datetime) -> dict[str, str]:
        """Return the schedules whose last run was sent and has not ended, though it must have by its limit."""
        if not (results.are_stored(self.app) and self.app.conf.result_extended):
            return {}
        sent = {
            each.entry.name: each.last_sent
            for each in found
            if each.entry.enabled and each.last_sent and self._keeps_result(each.entry)
            if now - _BACK < each.last_sent < now - self._limit(each.entry.task)
        }
        ended = results.last_ends(since=now - _BACK) if sent else {}
        return {
            name: f"was sent at {_text(at)} and has not ended"
            for name, at in sent.items()
            if name not in ended or ended[name] < at
        }

    def _keeps_result(self, entry: Any) -> bool:
        task = self.app.tasks.get(entry.task)
        ignored = self.app.conf.task_ignore_result if task is None else task.ignore_result
        return not ignored and '"ignore_result": true' not in entry.options

    def _limit(self, task: str) -> timedelta:
        """Return how long after it was sent a run may end: its limit, and as long as a late dispatch may take."""
        from ...schedules.listing import DEFAULT_GRACE

        known: Any = self.app.tasks.get(task)
        seconds = getattr(known, "time_limit", None) or self.app.conf.task_time_limit
        return DEFAULT_GRACE + (timedelta(seconds=seconds) if seconds else _NO_LIMIT)


@dataclass(repr=False)
class Drift(OfApp):
    """The tables hold what the settings declare."""

    extras: Mapping[str, Any] = field(default_factory=dict, repr=False)
    id: ClassVar[str] = "schedules.drift"
    title: ClassVar[str] = "schedules as declared"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations")
    consequence: ClassVar[str] = "Beat sends what is in the tables."

    def ask(self) -> Iterator[str | Figure]:
        from ...schedules import enabled  # whose tables a project may lack

        with asking.the_database():
            using = enabled.alias()
            words = _drift.recall((self.app, using), lambda: self._look(using), mark=enabled.mark(using=using))
        yield Figure("schedules_drifted", float(bool(words)))
        if words:
            raise self.warning(words)
        yield "The tables hold what is declared."

    def _look(self, using: str) -> str:
        from ...schedules import unapplied

        return unapplied.difference(self.app, extras=self.extras, using=using)


def forget() -> None:
    """Look anew next time."""
    _late.forget()
    _drift.forget()


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
