"""Sending recorded messages over one connection, which never waits for ever and is renewed after an error."""

from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from . import messages
from .ledger import Record

BrokerTrouble = (OperationalError, OSError)
# Seconds. Where the project sets nothing, Redis clients wait for ever.
_PATIENCE = 5
_NO_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class Sender:
    """One connection and producer to the broker, opened when needed."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None
        self._producer: Any = None

    def open(self) -> None:
        """Connect unless connected. Raises BrokerTrouble."""
        if self._producer is not None:
            return
        given: Any = self._app.conf
        options = {**_NO_RETRY, **(given.broker_transport_options or {})}
        connection: Any = self._app.connection_for_write()
        if connection.transport.driver_type == "redis":
            options = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, **options}
        connection.transport_options = options
        self._connection = connection
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            self._producer = self._app.amqp.Producer(connection, auto_declare=False)
            _ = self._producer.channel
        except BaseException:
            self.close()
            raise

    def send(self, record: Record) -> None:
        """Publish a recorded message once; see publish. Nothing is retried: the record stays until it is sent."""
        self.publish(record.message, task_id=record.task_id)

    def publish(self, message: messages.Message, **delivery: Any) -> Any:
        """Publish a message once and return its AsyncResult.

        Raises BrokerTrouble, after which the connection is closed, or what is wrong with the message.
        """
        self.open()
        try:
            return messages.publish(self._app, message, **delivery, retry=False, producer=self._producer)
        except (*BrokerTrouble, KeyboardInterrupt, SystemExit):
            # Also when a signal interrupts: half a command may have been written.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            try:
                connection.release()
            except Exception:  # noqa: BLE001 - a broken connection may fail to close in any way; it is given up anyhow
                return
