"""Beat's sign of life to a watcher outside: when it stays away, nobody here may be left to tell."""

import logging
import threading
from typing import Final
from urllib.parse import urlsplit

from .. import ping

logger = logging.getLogger("maintenance.beat")

EVERY: Final = 60.0


class Sign:
    """Pings an address every minute in which alive() is called, from a thread of its own. Times are in seconds."""

    def __init__(self, url: str, *, every: float = EVERY) -> None:
        self._url, self._every = url, every
        self._alive, self._stopped = threading.Event(), threading.Event()
        self._said: str | None = None

    def start(self) -> None:
        """Begin to ping."""
        threading.Thread(target=self._run, name="beat sign of life", daemon=True).start()

    def alive(self) -> None:
        """Say that beat does its work: it reads its database, and reaches the broker or stands by."""
        self._alive.set()

    def stop(self) -> None:
        """Ping no more."""
        self._stopped.set()
        self._alive.set()

    def _run(self) -> None:
        while True:
            self._alive.wait()
            if self._stopped.is_set():
                return
            self._alive.clear()
            trouble = ping.send(self._url)
            if trouble != self._said:
                self._said = trouble
                host = urlsplit(self._url).hostname
                if trouble:
                    logger.warning("The sign of life to %s failed: %s. Trying again each minute.", host, trouble)
                else:
                    logger.info("The sign of life reaches %s again.", host)
            if self._stopped.wait(self._every):
                return
