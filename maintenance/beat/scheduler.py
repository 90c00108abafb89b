"""The class that Celery opens: django-celery-beat's tables, sent exactly, quickly, and by one leader."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error, connections, router
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler

from .. import conf, process, results
from ..misfire import Policy
from ..schedules import unapplied
from ..schedules.moments import aware
from . import due, ledger
from .due import Overdue
from .entries import Entries
from .leader import Alone, Leader
from .ledger import Choice, NotLeading, Record
from .rows import Entry
from .sending import BrokerTrouble, Sender
from .watchdog import Watchdog

logger = logging.getLogger("maintenance.beat")

RECORDED_AT_ONCE = 500
MARKED_AT_ONCE = 50
# Seconds.
MARK_EVERY = 0.1
RETRY = 1.0
READ_ALL_EVERY = 300
LONGEST_PAUSE = 5
LAST_SENDS = 1


class Scheduler(DatabaseScheduler):  # type: ignore[misc] # untyped
    """A DatabaseScheduler that writes no settings entries and sends every due time once, whichever beat leads."""

    leader_class: type[Leader] = Leader

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._busy = self._closed = self._led = False
        self._conf = conf.get().beat
        self._using = router.db_for_write(PeriodicTask)
        self._leader = self.leader_class(ttl=self._conf.lease_ttl, using=self._using)
        super().__init__(*args, **kwargs)
        self.max_interval: float = kwargs.get("max_interval") or self.app.conf.beat_max_loop_interval or LONGEST_PAUSE
        self._pause: float = min(self.max_interval, self._conf.lease_ttl.total_seconds() / 6)
        self._entries = Entries(
            self._using, self._report, zone=self.app.timezone, cleanup=bool(self.app.conf.result_expires)
        )
        self._sender = Sender(self.app)
        self._unsent: deque[Record] = deque()
        self._sent: list[str] = []
        self._mark: datetime | None = None
        self._read_at = float("-inf")
        self._said = ""
        folder = process.environment().get("MAINTENANCE_RUN_DIR")
        self._watchdog = Watchdog(
            limit=max(60.0, 2.0 * self.max_interval), heartbeat=Path(folder, "beat") if folder else None
        )

    def setup_schedule(self) -> None:
        """Write nothing: the tables are sync_schedules' and the admin's. Watch once beat has started."""
        if missing := unapplied.warning(self.app, extras=conf.get().schedules, using=self._using):
            logger.warning(missing)
        signals.beat_init.connect(self._started)

    @property
    def schedule(self) -> dict[str, Entry]:
        """The enabled entries by name, as they were last read."""
        return {entry.name: entry for entry in self._entries.by_pk.values()}

    @property
    def info(self) -> str:
        """A line of beat's banner."""
        return f"    . leader lease -> {self._conf.lease_ttl.total_seconds():g}s"

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send all that is due, if we lead; return the seconds until it is worth looking again."""
        self._busy = True
        try:
            return self._turn(aware(timezone.now()))
        except NotLeading:
            return RETRY
        except Error as error:
            # Whether we still lead cannot be known: nothing is sent until the database says so.
            self._led = False
            self._leader.doubt()
            connections[self._using].close()
            self._say(f"Not leading: the database cannot be used ({str(error).strip()}). Trying again.", logging.ERROR)
            return min(RETRY, self._pause)
        finally:
            self._busy = False

    def should_sync(self) -> bool:
        """Nothing waits to be written: every dispatch is recorded when it happens."""
        return False

    def sync(self) -> None:
        """Nothing to do; see should_sync."""

    def close(self) -> None:
        """Mark what was sent, and give the lease up. Within a tick (a signal) it waits until the tick has ended."""
        if self._busy or self._closed:
            return
        self._closed = True
        self._watchdog.stop()
        for last in (False, True):
            try:
                self._flush()
                if self._led:
                    self._send(seconds=LAST_SENDS)
                self._leader.resign()
                break
            except Error as error:
                connections[self._using].close()
                if last:
                    logger.error("The lease was not given up (%s): the next beat leads when it expires.", error)
        self._sender.close()

    def _turn(self, now: datetime) -> float:
        self._watchdog.pulse()
        self._flush()
        went_on = self._led and self._leader.sure
        self._led = False
        if not self._leader.lead():
            return self._stand_by()
        if not went_on:
            self._begin()
        self._led = True
        self._notice_changes(now)
        if not (self._broker_answers() and self._send()):
            return RETRY
        while entries := self._entries.pop_due(now=now, most=RECORDED_AT_ONCE):
            self._watchdog.pulse()
            try:
                self._dispatch(entries, now)
            finally:
                for entry in entries:
                    self._entries.push(entry)
            if not self._send():
                return RETRY
        coming = self._entries.next_due()
        if coming is None:
            return self._pause
        return min(max(0.0, (coming - datetime.now(UTC)).total_seconds()), self._pause)

    def _stand_by(self) -> float:
        other = self._leader.other
        if other is not None:
            self._say(f"Standing by: {other.holder!r} leads since {other.since.isoformat(timespec='seconds')}.")
        return min(RETRY, self._pause)

    def _begin(self) -> None:
        """Begin to lead: nothing that was read before counts, and what a former leader left is sent first."""
        self._mark, self._read_at = None, float("-inf")
        self._unsent = deque(ledger.unsent(using=self._using))
        left = f", {len(self._unsent)} recorded and to be sent again" if self._unsent else ""
        self._say(f"Leading as {self._leader.holder!r}{left}.")

    def _notice_changes(self, now: datetime) -> None:
        mark = PeriodicTasks.objects.using(self._using).values_list("last_update", flat=True).filter(ident=1).first()
        if mark == self._mark and time.monotonic() - self._read_at < READ_ALL_EVERY:
            return
        changed = self._entries.refresh(now=now)
        self._mark, self._read_at = mark, time.monotonic()
        if changed:
            logger.info("%d changed, %d entries enabled.", changed, len(self._entries.by_pk))

    def _dispatch(self, entries: Sequence[Entry], now: datetime) -> None:
        """Decide what is sent of ``entries``, and record it. Raises NotLeading, DatabaseError."""
        expired = [entry for entry in entries if entry.ran or (entry.expires is not None and now >= entry.expires)]
        if expired:
            ledger.disable([entry.pk for entry in expired], using=self._using)
        for entry in expired:
            self._entries.drop(entry)
            logger.info(
                "%r %s and is disabled.", entry.name, "ran once" if entry.ran else f"expired at {entry.expires}"
            )
        running = self._running([entry for entry in entries if entry.no_overlap], now)
        choices = []
        for entry in entries:
            if entry not in expired and (choice := self._choose(entry, now, entry.name in running)):
                choices.append(choice)
        if not choices:
            return
        recorded = ledger.record(
            choices,
            fence=self._leader.fence,
            patience=self._leader.patience,
            naive=not settings.USE_TZ,
            using=self._using,
        )
        self._unsent.extend(recorded.records)
        for entry in recorded.stale:
            self._entries.drop(entry)
            self._read_at = float("-inf")
        self._advance(choices)

    def _advance(self, choices: Sequence[Choice]) -> None:
        for choice in choices:
            if choice.entry.one_off:
                self._entries.drop(choice.entry)
                continue
            self._go_on(choice.entry, choice.send[-1], recorded=True)

    def _go_on(self, entry: Entry, moment: datetime, *, recorded: bool) -> None:
        try:
            entry.advance(moment, recorded=recorded)
        except Exception as error:  # noqa: BLE001 - an entry whose next run cannot be computed must not stop the others
            self._report(entry.name, error)
            self._entries.drop(entry)

    def _choose(self, entry: Entry, now: datetime, is_running: bool) -> Choice | None:
        policy = entry.policy
        if policy.kind == "all" and (entry.one_off or entry.no_overlap or entry.rebased):
            policy = Policy()
        keep = (policy.limit or self._conf.max_missed) if policy.kind == "all" else 1
        try:
            overdue = due.until(entry.schedule, after=entry.baseline, now=now, keep=keep)
        except Exception as error:  # noqa: BLE001 - as in _go_on
            self._report(entry.name, error)
            self._entries.drop(entry)
            return None
        if not overdue.latest:
            self._go_on(entry, entry.baseline, recorded=False)
            return None
        decision = due.decide(
            self._within_deadline(entry, overdue, now),
            policy=policy,
            now=now,
            late_after=self._conf.late_after,
            most=self._conf.max_missed,
        )
        if decision.send and not is_running:
            if decision.missed:
                logger.warning("%r missed %d due times (misfire: %s).", entry.name, decision.missed, policy.kind)
            return Choice(entry, decision.send, decision.missed)
        why = "its previous run is unfinished" if is_running else f"too late (misfire: {policy.kind})"
        logger.warning("%r was skipped at %s: %s.", entry.name, overdue.latest[-1].isoformat(), why)
        if entry.one_off and not is_running:
            ledger.disable([entry.pk], using=self._using)
            self._entries.drop(entry)
        else:
            self._go_on(entry, overdue.latest[-1], recorded=False)
        return None

    def _within_deadline(self, entry: Entry, overdue: Overdue, now: datetime) -> Overdue:
        """Leave out crontab runs that are later than Celery's own beat_cron_starting_deadline."""
        seconds = self.app.conf.beat_cron_starting_deadline
        if seconds is None or not hasattr(entry.schedule, "_orig_minute"):
            return overdue
        oldest = now - timedelta(seconds=seconds)
        return replace(overdue, latest=tuple(at for at in overdue.latest if at >= oldest))

    def _running(self, entries: Sequence[Entry], now: datetime) -> set[str]:
        """Return the names of entries whose last run is unfinished, where results can tell."""
        since = now - self._conf.overlap_age
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

    def _broker_answers(self) -> bool:
        """Return whether the broker can be reached. While it cannot, nothing is recorded: it becomes late instead."""
        try:
            self._sender.open()
        except BrokerTrouble as error:
            self._say(f"The broker cannot be used ({error}). What is due waits. Trying again.", logging.ERROR)
            return False
        return True

    def _send(self, *, seconds: float = float("inf")) -> bool:
        """Send what is recorded, marking it in batches; return False when that had to stop early."""
        marked_at = time.monotonic()
        end = marked_at + seconds
        try:
            while self._unsent:
                if not self._leader.sure or time.monotonic() > end:
                    return False
                record = self._unsent[0]
                self._publish(record)
                self._sent.append(record.task_id)
                self._unsent.popleft()
                if len(self._sent) >= MARKED_AT_ONCE or time.monotonic() - marked_at >= MARK_EVERY:
                    self._flush()
                    self._watchdog.pulse()
                    marked_at = time.monotonic()
                    if not self._leader.lead():
                        return False
        except BrokerTrouble as error:
            self._say(f"The broker failed ({error}). {len(self._unsent)} messages wait. Trying again.", logging.ERROR)
            return False
        finally:
            self._flush()
        return True

    def _publish(self, record: Record) -> None:
        logger.info("Sending due task %s (%s)", record.name, record.message["task"])
        try:
            self._sender.send(record)
        except BrokerTrouble:
            raise
        except Exception as error:  # noqa: BLE001 - one message that cannot be sent must not stop the others
            logger.error("%r was not sent at all: %r. Correct its row.", record.name, error)

    def _flush(self) -> None:
        """Mark what was sent. Raises DatabaseError; what is unmarked is kept and not sent again by us."""
        if self._sent:
            ledger.mark_sent(self._sent, patience=self._leader.patience, using=self._using)
            self._sent.clear()

    def _report(self, name: str, error: Exception) -> None:
        logger.error("Schedule %r cannot be used: %s. Correct its row in the admin.", name, error)

    def _say(self, text: str, level: int = logging.INFO) -> None:
        """Log a change of state once, however often it is met."""
        if text != self._said:
            self._said = text
            logger.log(level, text)

    def _started(self, **kwargs: Any) -> None:
        self._watchdog.start()


class UnleasedScheduler(Scheduler):
    """The same without a lease (run_beat --no-lease): two of these send everything twice."""

    leader_class = Alone
