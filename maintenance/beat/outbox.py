"""Recorded messages on their way to the broker: sent while we lead, and marked as sent in batches."""

import logging
import time
from collections import deque
from collections.abc import Callable

from . import ledger
from .leader import Leader
from .ledger import Record
from .line import BrokerTrouble
from .sending import Sender

logger = logging.getLogger("maintenance.beat")

MARKED_AT_ONCE = 50
# Seconds.
MARK_EVERY = 0.1


class Outbox:
    """What is recorded and not yet sent, and what is sent and not yet marked. ``pulse`` is called after each batch."""

    def __init__(self, sender: Sender, *, leader: Leader, using: str, pulse: Callable[[], object]) -> None:
        self.waiting: deque[Record] = deque()
        self._sent: list[str] = []
        self._sender, self._leader, self._using, self._pulse = sender, leader, using, pulse

    def load(self) -> int:
        """Take over what a former leader recorded and did not mark; return how much that is. Raises DatabaseError."""
        self.waiting = deque(ledger.unsent(using=self._using))
        return len(self.waiting)

    def open(self) -> None:
        """Connect unless connected. Raises BrokerTrouble."""
        self._sender.open()

    def send(self, *, seconds: float = float("inf")) -> bool:
        """Send what waits; return False when the lease or ``seconds`` ended first. Raises BrokerTrouble, DatabaseError.

        Whatever ends it early, what was sent is marked: nothing is sent twice by us.
        """
        marked_at = time.monotonic()
        end = marked_at + seconds
        try:
            while self.waiting:
                if not self._leader.sure or time.monotonic() > end:
                    return False
                record = self.waiting[0]
                self._publish(record)
                self._sent.append(record.task_id)
                self.waiting.popleft()
                if len(self._sent) >= MARKED_AT_ONCE or time.monotonic() - marked_at >= MARK_EVERY:
                    self.mark()
                    self._pulse()
                    marked_at = time.monotonic()
                    if not self._leader.lead():
                        return False
        finally:
            self.mark()
        return True

    def mark(self) -> None:
        """Mark what was sent. Raises DatabaseError; what is unmarked is kept and not sent again by us."""
        if self._sent:
            ledger.mark_sent(self._sent, patience=self._leader.patience, using=self._using)
            self._sent.clear()

    def close(self) -> None:
        """Close the connection."""
        self._sender.close()

    def _publish(self, record: Record) -> None:
        logger.info("Sending due task %s (%s)", record.name, record.message["task"])
        try:
            self._sender.send(record)
        except BrokerTrouble:
            raise
        except Exception as error:  # noqa: BLE001 - a task's own apply_async may raise anything; the others go on
            logger.error("%r was not sent at all: %r. Correct its row.", record.name, error)
