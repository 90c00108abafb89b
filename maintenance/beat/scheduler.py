"""The class that Celery opens: django-celery-beat's tables, sent exactly, quickly, and by one leader."""

import logging
from datetime import UTC, datetime
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error, connections, router
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from .. import conf, heartbeat, process
from ..schedules import unapplied
from ..schedules.moments import aware
from . import database
from .changes import Changes
from .choosing import Chooser
from .entries import Entries
from .leader import Alone, Leader
from .ledger import NotLeading
from .line import BrokerTrouble
from .outbox import Outbox
from .recording import Recorder
from .rows import Entry
from .sending import Sender
from .sign import Sign

logger = logging.getLogger("maintenance.beat")

RECORDED_AT_ONCE = 500
# Seconds.
RETRY = 1.0
LONGEST_PAUSE = 5
LAST_SENDS = 1
# For one answer of the broker.
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 5.0


class Scheduler(DatabaseScheduler):  # type: ignore[misc] # untyped
    """A DatabaseScheduler that writes no settings entries and sends every due time once, whichever beat leads."""

    leader_class: type[Leader] = Leader
    keeps_its_heartbeat = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._busy = self._closed = self._led = False
        self._conf = conf.get().beat
        self._using = router.db_for_write(PeriodicTask)
        self._leader = self.leader_class(ttl=self._conf.lease_ttl, using=self._using)
        super().__init__(*args, **kwargs)
        self.max_interval: float = kwargs.get("max_interval") or self.app.conf.beat_max_loop_interval or LONGEST_PAUSE
        self._pause: float = min(self.max_interval, self._conf.lease_ttl.total_seconds() / 6)
        self._watchdog = database.guarded(
            connections[self._using],
            connecting=self._leader.patience,
            answering=max(LONGEST_WAIT, self._leader.ttl.total_seconds()),
            limit=max(60.0, 2.0 * self.max_interval),
            heart=_heart(),
            sign=Sign(url) if (url := conf.get().health.ping_url) else None,
        )
        self._entries = Entries(
            self._using, self._report, zone=self.app.timezone, cleanup=bool(self.app.conf.result_expires)
        )
        sender = Sender(self.app, patience=max(SHORTEST_WAIT, min(LONGEST_WAIT, self._leader.patience)))
        self._outbox = Outbox(sender, leader=self._leader, using=self._using, pulse=self._watchdog.pulse)
        self._changes = Changes(self._entries, using=self._using)
        self._recorder = Recorder(
            Chooser(self.app, self._conf, self._entries, self._report),
            entries=self._entries,
            changes=self._changes,
            outbox=self._outbox,
            leader=self._leader,
            naive=not settings.USE_TZ,
            using=self._using,
        )
        self._said = ""

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
            return self._turn()
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

    def _turn(self) -> float:
        self._watchdog.pulse()
        self._outbox.mark()
        went_on = self._led and self._leader.sure
        self._led = False
        if not self._leader.lead():
            return self._stand_by()
        if not went_on:
            self._begin()
        self._led = True
        self._changes.notice(now=aware(timezone.now()))
        if not (self._broker_answers() and self._send()):
            return RETRY
        # Only now: each of the above may have waited long for an answer, and what became due meanwhile belongs to it.
        now = aware(timezone.now())
        while self._recorder.record_due(now=now, most=RECORDED_AT_ONCE):
            self._watchdog.pulse()
            if not self._send():
                return RETRY
            # Much may be due, and what a person edits or disables meanwhile counts at once.
            self._changes.notice(now=now)
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
        self._changes.distrust()
        count = self._outbox.load()
        left = f", {count} recorded and to be sent again" if count else ""
        self._say(f"Leading as {self._leader.holder!r}{left}.")

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


def _heart() -> heartbeat.Heart | None:
    environment = process.environment()
    if heartbeat.VARIABLE not in environment:
        return None
    return heartbeat.Heart(f"{heartbeat.folder(environment)}/{heartbeat.BEAT}")
