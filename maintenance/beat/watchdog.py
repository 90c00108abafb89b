"""A beat that hangs ends: stacks on stderr, exit status 70. And the file whose age tells that it ticks."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

from ..heartbeat import Heart
from .sign import Sign

EXIT_CODE = 70


class Watchdog:
    """Watches the ticks of a loop from a thread of its own. Times are in seconds.

    After ``patience`` without a tick it calls ``nudge`` until that says that it did something. After ``limit``
    it ends the process.
    """

    def __init__(
        self,
        *,
        limit: float,
        heart: Heart | None = None,
        sign: Sign | None = None,
        nudge: Callable[[], bool] = lambda: False,
        patience: float = float("inf"),
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.limit = limit
        self._heart, self._sign = heart, sign
        self._nudge, self._patience = nudge, patience
        self._end = end
        self._last = time.monotonic()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        self.pulse()
        if self._sign is not None:
            self._sign.start()
        threading.Thread(target=self._watch, name="beat watchdog", daemon=True).start()

    def pulse(self) -> None:
        """Say that the loop lives."""
        self._last = time.monotonic()
        if self._heart is not None:
            self._heart.beat()

    def ready(self, ready: bool) -> None:
        """Say whether the loop can do its work."""
        if self._heart is not None:
            self._heart.ready(ready)
        if self._sign is not None and ready:
            self._sign.alive()

    def stop(self) -> None:
        """Watch no longer: the loop ends in good order."""
        self._stopped.set()
        if self._sign is not None:
            self._sign.stop()
        if self._heart is not None:
            self._heart.end()

    def _watch(self) -> None:
        nudged = False
        while not self._stopped.wait(min(1.0, self.limit / 4)):
            silent = time.monotonic() - self._last
            if silent > self.limit:
                try:
                    _say(f"no tick for {silent:.0f} s. Where it stands follows; ending with {EXIT_CODE}.")
                    faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
                finally:
                    self._end(EXIT_CODE)
                return
            if silent <= self._patience:
                nudged = False
            elif not nudged and self._nudge():
                nudged = True
                _say(f"no tick for {silent:.0f} s. The database connection was cut.")


def _say(text: str) -> None:
    """Write to the real stderr: Celery's beat puts a logger in its place, which may be what hangs, and has no file."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"beat: {text}\n")
        sys.__stderr__.flush()
