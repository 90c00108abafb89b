"""What is sent of the entries that are due: their misfire policies, deadlines and unfinished runs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from celery import Celery

from .. import results
from ..conf import Beat
from ..misfire import Policy
from . import due
from .due import Overdue
from .entries import Entries
from .ledger import Choice
from .rows import Entry

logger = logging.getLogger("maintenance.beat")

# What a schedule's arithmetic raises over values that cannot be: no such zone, no next day, an interval of 0.
UNUSABLE = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass
class Chosen:
    """What is to be recorded, and the entries that have come to their end."""

    choices: list[Choice] = field(default_factory=list)
    ended: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class Chooser:
    """Decides about due entries, and moves on those of which nothing is sent. ``report`` hears of unusable ones."""

    app: Celery
    given: Beat
    entries: Entries
    report: Callable[[str, Exception], object]

    def choose(self, entries: Sequence[Entry], *, now: datetime) -> Chosen:
        """Return what is to be sent of ``entries`` at ``now``."""
        chosen = Chosen()
        running = self._running([entry for entry in entries if entry.no_overlap], now)
        for entry in entries:
            if entry.ran or (entry.expires is not None and now >= entry.expires):
                how = "ran once" if entry.ran else f"expired at {entry.expires}"
                logger.info("%r %s and is disabled.", entry.name, how)
                chosen.ended.append(entry)
            else:
                self._decide(entry, now, entry.name in running, chosen)
        return chosen

    def go_on(self, entry: Entry, moment: datetime, *, recorded: bool) -> None:
        """Go on after the due time ``moment``; an entry whose next one cannot be computed is reported and left out."""
        try:
            entry.advance(moment, recorded=recorded)
        except UNUSABLE as error:
            self._give_up(entry, error)

    def _decide(self, entry: Entry, now: datetime, is_running: bool, chosen: Chosen) -> None:
        policy = entry.policy
        if policy.kind == "all" and (entry.one_off or entry.no_overlap or entry.rebased):
            policy = Policy()
        keep = (policy.limit or self.given.max_missed) if policy.kind == "all" else 1
        try:
            overdue = due.until(entry.schedule, after=entry.baseline, now=now, keep=keep)
        except UNUSABLE as error:
            return self._give_up(entry, error)
        if not overdue.latest:
            return self.go_on(entry, entry.baseline, recorded=False)
        decision = due.decide(
            self._within_deadline(entry, overdue, now),
            policy=policy,
            now=now,
            late_after=self.given.late_after,
            most=self.given.max_missed,
        )
        if decision.send and not is_running:
            if decision.missed:
                logger.warning("%r missed %d due times (misfire: %s).", entry.name, decision.missed, policy.kind)
            chosen.choices.append(Choice(entry, decision.send, decision.missed))
            return None
        why = "its previous run is unfinished" if is_running else f"too late (misfire: {policy.kind})"
        logger.warning("%r was skipped at %s: %s.", entry.name, overdue.latest[-1].isoformat(), why)
        if entry.one_off and not is_running:
            chosen.ended.append(entry)
            return None
        return self.go_on(entry, overdue.latest[-1], recorded=False)

    def _give_up(self, entry: Entry, error: Exception) -> None:
        self.report(entry.name, error)
        self.entries.drop(entry)

    def _within_deadline(self, entry: Entry, overdue: Overdue, now: datetime) -> Overdue:
        """Leave out crontab runs that are later than Celery's own beat_cron_starting_deadline."""
        seconds = self.app.conf.beat_cron_starting_deadline
        if seconds is None or not hasattr(entry.schedule, "_orig_minute"):
            return overdue
        oldest = now - timedelta(seconds=seconds)
        return replace(overdue, latest=tuple(at for at in overdue.latest if at >= oldest))

    def _running(self, entries: Sequence[Entry], now: datetime) -> set[str]:
        """Return the names of entries whose last run is unfinished, where results can tell."""
        since = now - self.given.overlap_age
        runs = {
            entry.name: (due.task_id(entry.name, entry.last_run_at), entry.last_run_at)
            for entry in entries
            if entry.last_run_at is not None and entry.last_run_at > since and self._has_results(entry)
        }
        return results.unfinished(runs) if runs else set()

    def _has_results(self, entry: Entry) -> bool:
        task = self.app.tasks.get(entry.task)
        ignored = entry.options.get("ignore_result", task.ignore_result if task else self.app.conf.task_ignore_result)
        return results.are_stored(self.app) and not ignored
