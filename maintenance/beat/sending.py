"""Sending messages over one line."""

from typing import Any

from celery import Celery
from celery.result import denied_join_result

from . import messages
from .ledger import Record
from .line import BrokerTrouble, Line, PublishersBlocked


class Sender:
    """Sends messages to the broker over a line that is opened when needed and renewed after an error."""

    def __init__(self, app: Celery, *, patience: float) -> None:
        self._app = app
        self._line = Line(app, patience=patience)

    def open(self) -> None:
        """Connect unless connected. Raises BrokerTrouble."""
        self._line.open()

    def send(self, record: Record) -> None:
        """Publish a recorded message once; see publish. Nothing is retried: the record stays until it is sent."""
        # Nobody here waits for a result. Else Celery would subscribe to each in a Redis that keeps results, and
        # fail where that is down, though the broker lives.
        with denied_join_result():
            self.publish(record.message, task_id=record.task_id)

    def publish(self, message: messages.Message, **delivery: Any) -> Any:
        """Publish a message once and return its AsyncResult.

        Raises BrokerTrouble, after which another line is opened, or what is wrong with the message.
        """
        producer = self._line.open()
        try:
            return messages.publish(self._app, message, **delivery, retry=False, producer=producer)
        except PublishersBlocked:
            raise
        except (*BrokerTrouble, KeyboardInterrupt, SystemExit):
            # Also when a signal interrupts: half a command may have been written.
            self._line.drop()
            raise

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        self._line.close()
