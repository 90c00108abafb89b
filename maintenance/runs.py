"""What a maintenance task's run writes into the log: one line when it starts, one when it ends.

A line is ``key=value`` with values as JSON; a formatter finds the same facts as the record's ``maintenance``.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from celery.exceptions import Retry

logger = logging.getLogger(__name__)


class Log:
    """The lines of one run."""

    def __init__(self, task: str, id: str, *, schedule: str) -> None:
        self.id = id
        self.facts = {"task": task, "id": id, **({"schedule": schedule} if schedule else {})}
        self.begun = time.monotonic()

    def started(self) -> None:
        self._line(logging.INFO, "start")

    def done(self, result: Any) -> None:
        self._line(logging.INFO, "done", seconds=self._seconds(), result=result)

    def skipped(self, answer: Mapping[str, Any]) -> None:
        facts = {key: value for key, value in answer.items() if key != "skipped"}
        self._line(logging.WARNING, "skipped", **facts)

    def ended(self, error: BaseException) -> None:
        # Its words are Celery's to log: theirs may be long.
        event, level = ("retry", logging.WARNING) if isinstance(error, Retry) else ("failed", logging.ERROR)
        self._line(level, event, seconds=self._seconds(), error=type(error).__name__)

    def _seconds(self) -> float:
        return round(time.monotonic() - self.begun, 3)

    def _line(self, level: int, event: str, **more: Any) -> None:
        facts = {"event": event, **self.facts, **more}
        words = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in facts.items())
        logger.log(level, "%s", words, extra={"maintenance": facts})
