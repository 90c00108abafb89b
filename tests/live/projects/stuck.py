"""A scheduler whose tick never ends."""

import time
from typing import Any

from maintenance.beat.scheduler import Scheduler


class Stuck(Scheduler):
    def tick(self, *args: Any, **kwargs: Any) -> float:
        self._watchdog.pulse()
        time.sleep(3600)
        return 0.0
