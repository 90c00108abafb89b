"""Whether this beat leads: the lease ``beat``, renewed in time. Any doubt means no."""

import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from .. import lease
from ..lease import Holding

NAME = "beat"


class Leader:
    """One beat's view of the lease. ``ttl`` is its length; ``clock`` counts seconds and never goes back."""

    def __init__(self, *, ttl: timedelta, using: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self.ttl = ttl
        self.using = using
        self.other: Holding | None = None
        self._clock = clock
        self._until = float("-inf")

    @property
    def patience(self) -> float:
        """Seconds that a statement may wait for somebody's lock."""
        return self.ttl.total_seconds() / 3

    @property
    def sure(self) -> bool:
        """Whether the lease is ours for certain, at this moment, without asking the database."""
        return self._clock() < self._until

    def lead(self) -> bool:
        """Return whether we lead, after renewing or taking the lease where it is time to. Raises DatabaseError."""
        if self._clock() < self._until - self.ttl.total_seconds() * 5 / 6:
            return True
        asked = self._clock()
        with lease.patient(self.patience, using=self.using):
            ours = self._renew() if self.sure else self._acquire()
        self._until = asked + self.ttl.total_seconds() if ours else float("-inf")
        return ours

    def fence(self) -> bool:
        """Renew the lease within the caller's transaction: nobody else can take it until that is committed."""
        asked = self._clock()
        ours = self._renew()
        self._until = asked + self.ttl.total_seconds() if ours else float("-inf")
        return ours

    def doubt(self) -> None:
        """Lead no longer, until the database says so again."""
        self._until = float("-inf")

    def resign(self) -> None:
        """Give the lease up, so that the next beat need not wait. Raises DatabaseError."""
        self.doubt()
        with lease.patient(self.patience, using=self.using):
            lease.end(NAME, holder=self.holder, using=self.using)

    def _renew(self) -> bool:
        return lease.renew(NAME, holder=self.holder, ttl=self.ttl, using=self.using)

    def _acquire(self) -> bool:
        self.other = lease.find(NAME, using=self.using)
        if self.other is not None and self.other.holder != self.holder:
            return False
        return lease.acquire(NAME, holder=self.holder, ttl=self.ttl, reason="leads beat", using=self.using)


class Alone(Leader):
    """Run without a lease: always the leader. Two of these send everything twice."""

    @property
    def sure(self) -> bool:
        return True

    def lead(self) -> bool:
        return True

    def fence(self) -> bool:
        return True

    def doubt(self) -> None:
        return None

    def resign(self) -> None:
        return None
