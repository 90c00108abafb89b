"""The class that Celery opens: django-celery-beat's tables, sent exactly, quickly, and by one leader."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error, connections, router
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler

from .. import conf, heartbeat, process
from ..schedules import unapplied
from ..schedules.moments import aware
from . import database, ledger
from .choosing import Chooser
from .entries import Entries
from .leader import Alone, Leader
from .ledger import NotLeading
from .line import BrokerTrouble
from .outbox import Outbox
from .rows import Entry
from .sending import Sender
from .sign import Sign
from .watchdog import Watchdog

logger = logging.getLogger("maintenance.beat")

RECORDED_AT_ONCE = 500
# Seconds.
RETRY = 1.0
READ_ALL_EVERY = 300
LONGEST_PAUSE = 5
LAST_SENDS = 1
# For one answer of the broker.
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 5.0


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
        self._watchdog = self._guarded()
        self._entries = Entries(
            self._using, self._report, zone=self.app.timezone, cleanup=bool(self.app.conf.result_expires)
        )
        self._chooser = Chooser(self.app, self._conf, self._entries, self._report)
        sender = Sender(self.app, patience=max(SHORTEST_WAIT, min(LONGEST_WAIT, self._leader.patience)))
        self._outbox = Outbox(sender, leader=self._leader, using=self._using, pulse=self._watchdog.pulse)
        self._mark: datetime | None = None
        self._read_at = float("-inf")
        self._said = ""

    def _guarded(self) -> Watchdog:
        """Return a watchdog that also frees a tick from a database that does not answer: the lease is lost by then."""
        connection = connections[self._using]
        patience = max(LONGEST_WAIT, self._leader.ttl.total_seconds())
        database.bound(connection, connecting=self._leader.patience, answering=patience)
        environment = process.environment()
        file = f"{heartbeat.folder(environment)}/{heartbeat.BEAT}"
        return Watchdog(
            limit=max(60.0, 2.0 * self.max_interval),
            heart=heartbeat.Heart(file) if heartbeat.VARIABLE in environment else None,
            sign=Sign(url) if (url := conf.get().health.ping_url) else None,
            nudge=lambda: database.cut(connection),
            patience=patience,
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
            self._watchdog.ready(False)
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
                self._outbox.mark()
                if self._led:
                    self._send(seconds=LAST_SENDS)
                self._leader.resign()
                break
            except Error as error:
                connections[self._using].close()
                if last:
                    logger.error("The lease was not given up (%s): the next beat leads when it expires.", error)
        self._outbox.close()

    def _turn(self, now: datetime) -> float:
        self._watchdog.pulse()
        self._outbox.mark()
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
            # Much may be due, and what a person edits or disables meanwhile counts at once.
            self._notice_changes(now)
        coming = self._entries.next_due()
        if coming is None:
            return self._pause
        return min(max(0.0, (coming - datetime.now(UTC)).total_seconds()), self._pause)

    def _stand_by(self) -> float:
        self._watchdog.ready(True)
        other = self._leader.other
        if other is not None:
            self._say(f"Standing by: {other.holder!r} leads since {other.since.isoformat(timespec='seconds')}.")
        return min(RETRY, self._pause)

    def _begin(self) -> None:
        """Begin to lead: nothing that was read before counts, and what a former leader left is sent first."""
        self._mark, self._read_at = None, float("-inf")
        count = self._outbox.load()
        left = f", {count} recorded and to be sent again" if count else ""
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
        chosen = self._chooser.choose(entries, now=now)
        if chosen.ended:
            ledger.disable([entry.pk for entry in chosen.ended], using=self._using)
        for entry in chosen.ended:
            self._entries.drop(entry)
        if not chosen.choices:
            return
        recorded = ledger.record(
            chosen.choices,
            fence=self._leader.fence,
            patience=self._leader.patience,
            naive=not settings.USE_TZ,
            using=self._using,
        )
        self._outbox.waiting.extend(recorded.records)
        for entry in recorded.stale:
            self._entries.drop(entry)
            self._read_at = float("-inf")
        for choice in chosen.choices:
            if choice.entry.one_off:
                self._entries.drop(choice.entry)
            else:
                self._chooser.go_on(choice.entry, choice.send[-1], recorded=True)

    def _broker_answers(self) -> bool:
        """Return whether the broker can be reached. While it cannot, nothing is recorded: it becomes late instead."""
        try:
            self._outbox.open()
            self._watchdog.ready(True)
        except BrokerTrouble as error:
            self._watchdog.ready(False)
            self._say(f"The broker cannot be used ({error}). What is due waits. Trying again.", logging.ERROR)
            return False
        return True

    def _send(self, *, seconds: float = float("inf")) -> bool:
        """Send what is recorded; return False when that had to stop early."""
        try:
            return self._outbox.send(seconds=seconds)
        except BrokerTrouble as error:
            self._watchdog.ready(False)
            count = len(self._outbox.waiting)
            self._say(f"The broker failed ({error}). {count} messages wait. Trying again.", logging.ERROR)
            return False

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
