"""Sending a task from a web process, to a broker that may be down or silent: never longer than a few seconds."""

from typing import Any, Final

from celery import Celery, Task

from ..beat.line import BrokerTrouble, Line
from ..errors import Unavailable

# For one answer of the broker.
_PATIENCE: Final = 3.0


def send(task: "Task[Any, Any]", *args: Any, app: Celery, broker: str) -> str:
    """Send a task and return its id. Raises Unavailable, which names the ``broker``."""
    line = Line(app, patience=_PATIENCE)
    try:
        return str(task.apply_async(args, producer=line.open(), retry=False).id)
    except BrokerTrouble as error:
        line.drop()
        raise Unavailable(service=f"The broker {broker}", reason=str(error)) from error
    finally:
        line.close()
