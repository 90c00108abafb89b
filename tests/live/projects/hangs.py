"""opsproject whose workers hang on their way out."""

import time
from typing import Any

from celery import signals

from tests.live.settings import *  # noqa: F403


@signals.worker_shutdown.connect
def hang(**kwargs: Any) -> None:
    """Never come back, as Celery's event dispatcher has been seen to."""
    while True:
        time.sleep(1)
