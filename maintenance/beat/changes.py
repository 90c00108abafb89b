"""When the tables are read anew: at a change mark, and now and then for what sends none."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from ..schedules import enabled
from .entries import Entries

logger = logging.getLogger("maintenance.beat")

# Seconds. Bulk updates and deletes leave no mark.
READ_ALL_EVERY = 300


class Changes:
    """Has ``entries`` read again what changed. ``clock`` counts seconds."""

    def __init__(self, entries: Entries, *, using: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries, self._using, self._clock = entries, using, clock
        self._mark: datetime | None = None
        self._read_at = float("-inf")

    def distrust(self) -> None:
        """Read at the next notice, whatever the mark says."""
        self._read_at = float("-inf")

    def notice(self, *, now: datetime) -> None:
        """Read the mark, and the tables where it is another one, or was read too long ago. Raises DatabaseError."""
        mark = enabled.mark(using=self._using)
        if mark == self._mark and self._clock() - self._read_at < READ_ALL_EVERY:
            return
        changed = self._entries.refresh(now=now)
        self._mark, self._read_at = mark, self._clock()
        if changed:
            logger.info("%d changed, %d entries enabled.", changed, len(self._entries.by_pk))
