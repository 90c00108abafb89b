"""Sending recorded messages over one line."""

from celery import Celery

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
        """Publish a message once. Raises BrokerTrouble, after which another line is opened, or what is wrong with it.

        Nothing is retried here: the record stays until it is sent.
        """
        producer = self._line.open()
        message = record.message
        options = {**message["options"], "task_id": record.task_id, "retry": False, "producer": producer}
        options["headers"] = {**options["headers"], "celery_beat_task": True}
        task = self._app.tasks.get(message["task"])
        try:
            if task is not None:
                task.apply_async(message["args"], message["kwargs"], **options)
            else:
                self._app.send_task(message["task"], message["args"], message["kwargs"], **options)
        except PublishersBlocked:
            raise
        except (*BrokerTrouble, KeyboardInterrupt, SystemExit):
            # Also when a signal interrupts: half a command may have been written.
            self._line.drop()
            raise

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        self._line.close()
