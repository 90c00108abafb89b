"""What beats while a backup is made: it keeps the lock, ends the run at its deadline, and tells how far it is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from maintenance import lease
from maintenance.units import human_duration

from .errors import LeaseLost, OutOfTime

Watch = Callable[[str, int, int | None], None]
_TELL_EVERY: Final = 0.2


def nobody(stage: str, done: int, total: int | None) -> None:
    """Watch nothing."""


class Pulse:
    """Called at each piece of work, with the bytes that it moved. Raises LeaseLost, OutOfTime."""

    def __init__(
        self, name: str, *, holder: str, ttl: timedelta, at_most: timedelta | None = None, watch: Watch = nobody
    ) -> None:
        self._name, self._holder, self._ttl, self._at_most, self._watch = name, holder, ttl, at_most, watch
        self._began = self._renewed = self._told = time.monotonic()
        self._stage, self._done, self._total = "", 0, None  # type: str, int, int | None
        self._stages: list[tuple[str, float]] = []

    @property
    def stages(self) -> tuple[tuple[str, float], ...]:
        """Seconds by stage that is over."""
        return tuple(self._stages)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[None]:
        """Name what is done in a block; ``total`` is how many bytes it will move, about."""
        self._stage, self._done, self._total = name, 0, total
        began = time.monotonic()
        yield
        self._stages.append((name, round(time.monotonic() - began, 3)))

    def __call__(self, moved: int = 0) -> None:
        """Live on: see the class."""
        self.in_time(moved)
        if time.monotonic() - self._renewed >= self._ttl.total_seconds() / 3:
            self.renew()

    def in_time(self, moved: int = 0) -> None:
        """Do the same without the lock: where the database cannot be written."""
        self._done += moved
        now = time.monotonic()
        if self._at_most is not None and now - self._began >= self._at_most.total_seconds():
            raise OutOfTime(name=self._name, budget=human_duration(self._at_most), stage=self._stage or "its start")
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._watch(self._stage, self._done, self._total)

    def renew(self) -> None:
        """Renew the lock now. Raises LeaseLost when it is another's."""
        if not lease.renew(self._name, holder=self._holder, ttl=self._ttl):
            raise LeaseLost(name=self._name)
        self._renewed = time.monotonic()
