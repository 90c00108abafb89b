"""Due entries become recorded messages: chosen, written down with their rows, and put into the outbox."""

from collections.abc import Sequence
from datetime import datetime

from . import ledger
from .changes import Changes
from .choosing import Chooser
from .entries import Entries
from .leader import Leader
from .outbox import Outbox
from .rows import Entry


class Recorder:
    """Records what is due. ``naive`` when the tables hold naive times (USE_TZ is False)."""

    def __init__(
        self,
        chooser: Chooser,
        *,
        entries: Entries,
        changes: Changes,
        outbox: Outbox,
        leader: Leader,
        naive: bool,
        using: str,
    ) -> None:
        self._chooser, self._entries, self._changes = chooser, entries, changes
        self._outbox, self._leader, self._naive, self._using = outbox, leader, naive, using

    def record_due(self, *, now: datetime, most: int) -> bool:
        """Record at most ``most`` entries that are due; return False when none is. Raises NotLeading, DatabaseError."""
        entries = self._entries.pop_due(now=now, most=most)
        try:
            if entries:
                self._record(entries, now)
        finally:
            for entry in entries:
                self._entries.push(entry)
        return bool(entries)

    def _record(self, entries: Sequence[Entry], now: datetime) -> None:
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
            naive=self._naive,
            using=self._using,
        )
        self._outbox.waiting.extend(recorded.records)
        for entry in recorded.stale:
            self._entries.drop(entry)
            self._changes.distrust()
        for choice in chosen.choices:
            if choice.entry.one_off:
                self._entries.drop(choice.entry)
            else:
                self._chooser.go_on(choice.entry, choice.send[-1], recorded=True)
