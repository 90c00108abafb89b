"""From findings to messages, through the database: a change is recorded once, and sent until somebody has it.

A change and its messages are written in one transaction, by whoever was first; a message is marked when it was sent.
So concurrent monitors tell a change once, and a crash in between sends it again, with the same id: at least once.
"""

import logging
import queue
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from ...models import Alert, CheckState
from ..runner import Finding
from . import changes
from .changes import Change, Known
from .channel import Channel
from .message import Origin, document

logger = logging.getLogger("maintenance.alerts")

# What nobody could be told for so long is no news.
_STALE: Final = timedelta(days=1)
_KEPT: Final = timedelta(days=30)
# Nobody else sends a message meanwhile.
_CLAIM: Final = timedelta(minutes=2)


@dataclass(frozen=True)
class Delivered:
    """How many messages were sent, and how many wait for the next look."""

    sent: int
    waiting: int


def record(
    findings: Iterable[Finding],
    *,
    now: datetime,
    looks: int,
    remind_after: timedelta,
    to: Sequence[Channel],
    origin: Origin,
) -> list[str]:
    """Remember what was found, and write the messages of what changed. Returns the changed checks' ids."""
    known = {row.key: row for row in CheckState.objects.all()}
    told = []
    for finding in findings:
        row = known.get(finding.id)
        before = _known(row) if row else changes.new(now)
        after, change = changes.step(before, finding.state, now=now, looks=looks, remind_after=remind_after)
        if after != before and _write(finding, row, after, change, now=now, to=to, origin=origin) and change:
            told.append(finding.id)
    return told


def deliver(to: Sequence[Channel], *, now: datetime, seconds: float) -> Delivered:
    """Send what waits, each channel in a thread of its own: one that fails or hangs holds up no other.

    A channel gets its messages in their order, and none after one that failed.
    """
    _sweep(to, now)
    ended: queue.SimpleQueue[tuple[int, Channel, str | None]] = queue.SimpleQueue()
    running = 0
    for channel in to:
        batch = _claim(channel, now)
        running += len(batch)
        if batch:
            threading.Thread(target=_send, args=(channel, batch, ended), name="alerts", daemon=True).start()
    sent, until = 0, time.monotonic() + seconds
    while running:
        try:
            pk, channel, trouble = ended.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            logger.warning("%d alerts were not sent within %gs; the next look tries again.", running, seconds)
            break
        running -= 1
        if trouble is None:
            sent += Alert.objects.filter(pk=pk).update(sent=now, claimed_until=None)
        else:
            Alert.objects.filter(pk=pk).update(claimed_until=None)
            logger.warning("An alert to %s failed: %s. The next look tries again.", channel.label, trouble)
    return Delivered(sent, Alert.objects.filter(sent=None).count())


def _write(
    finding: Finding,
    row: CheckState | None,
    after: Known,
    change: Change | None,
    *,
    now: datetime,
    to: Sequence[Channel],
    origin: Origin,
) -> bool:
    """Write a state and its messages, unless another monitor was quicker."""
    try:
        with transaction.atomic():
            if row is None:
                CheckState.objects.create(key=finding.id, title=finding.title, **asdict(after))
            else:
                same = CheckState.objects.filter(pk=row.pk, version=row.version)
                if not same.update(title=finding.title, version=F("version") + 1, **asdict(after)):
                    return False
            if change:
                id = str(uuid.uuid4())
                words = document(id, finding, change, now=now, origin=origin)
                Alert.objects.bulk_create(
                    Alert(change=id, channel=channel.key, created=now, document=words) for channel in to
                )
    except IntegrityError:
        return False
    return True


def _known(row: CheckState) -> Known:
    return Known(row.state, row.since, row.told, row.seen, row.seen_since, row.looks)


def _claim(channel: Channel, now: datetime) -> list[tuple[int, dict[str, Any]]]:
    """Return what waits for a channel, oldest first, as ours to send for a while."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    waiting = Alert.objects.filter(free, channel=channel.key, sent=None).order_by("pk")[:50]
    return [
        (alert.pk, alert.document)
        for alert in waiting
        if Alert.objects.filter(free, pk=alert.pk, sent=None).update(
            claimed_until=now + _CLAIM, attempts=F("attempts") + 1
        )
    ]


def _send(
    channel: Channel,
    batch: Sequence[tuple[int, dict[str, Any]]],
    ended: "queue.SimpleQueue[tuple[int, Channel, str | None]]",
) -> None:
    trouble: str | None = None
    left = list(batch)
    try:
        while left:
            trouble = trouble or channel.send(left[0][1])
            ended.put((left.pop(0)[0], channel, trouble))
    finally:  # what a mail backend raises that is none of smtplib's is in the log, by the thread's own hook
        for pk, _ in left:
            ended.put((pk, channel, "it raised what it should not"))


def _sweep(to: Sequence[Channel], now: datetime) -> None:
    """Forget what is no news any more, and whom nobody tells any more."""
    known = [channel.key for channel in to]
    gone = Alert.objects.filter(Q(created__lt=now - _STALE) | ~Q(channel__in=known), sent=None)
    count, _ = gone.delete()
    if count:
        logger.error("%d alerts were never delivered, and are given up.", count)
    Alert.objects.filter(created__lt=now - _KEPT).delete()
