"""The line to the broker: one connection that never waits for ever, and knows when RabbitMQ blocks publishers."""

from typing import Any

from celery import Celery
from kombu.common import ignore_errors
from kombu.exceptions import OperationalError

BrokerTrouble = (OperationalError, OSError)
_NO_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class PublishersBlocked(OperationalError):
    """RabbitMQ takes nothing in until its memory or disk alarm is over."""

    def __init__(self) -> None:
        super().__init__("RabbitMQ has blocked publishers: its memory or disk alarm is on")


class Line:
    """A connection and its producer, opened when needed. No read or write takes longer than ``patience`` seconds."""

    def __init__(self, app: Celery, *, patience: float) -> None:
        self._app, self._patience = app, patience
        self._connection: Any = None
        self._producer: Any = None
        self._blocked = False

    def open(self) -> Any:
        """Return the producer, connecting unless connected. Raises BrokerTrouble."""
        if self._producer is None:
            self._connect()
        elif self._blocked:
            self._ask_whether_still_blocked()
        return self._producer

    def drop(self) -> None:
        """Give a broken connection up without a farewell, which a silent broker would not answer."""
        connection = self._forget()
        if connection is not None:
            ignore_errors(connection, connection.collect)

    def close(self) -> None:
        """Close the connection."""
        connection = self._forget()
        if connection is not None:
            ignore_errors(connection, connection.release)

    def _connect(self) -> None:
        patience = min(self._patience, self._app.conf.broker_connection_timeout or self._patience)
        connection: Any = self._app.connection_for_write(connect_timeout=patience)
        connection.transport_options = self._options(connection.transport.driver_type)
        self._connection = connection
        try:
            # One attempt a host.
            tries = len(connection.alt or [""]) - 1
            connection.ensure_connection(max_retries=tries, interval_start=0, interval_step=0)
            self._producer = self._app.amqp.Producer(connection, auto_declare=False)
            _keep_one_client(self._producer.channel)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            # Also a refused password: whoever corrects it need not restart beat.
            self.drop()
            raise OperationalError(str(error)) from error
        except BaseException:
            self.drop()
            raise

    def _options(self, driver: str) -> dict[str, Any]:
        """Return the project's transport options, with ours where it has none."""
        ours: dict[str, Any] = dict(_NO_RETRY)
        if driver == "redis":
            ours |= {"socket_timeout": self._patience, "socket_connect_timeout": self._patience}
        elif driver == "amqp":
            ours |= {"read_timeout": self._patience, "write_timeout": self._patience, "confirm_publish": True}
            ours |= {"on_blocked": self._on_blocked, "on_unblocked": self._on_unblocked}
        return {**ours, **(self._app.conf.broker_transport_options or {})}

    def _on_blocked(self, *args: object) -> None:
        self._blocked = True
        raise PublishersBlocked()

    def _on_unblocked(self, *args: object) -> None:
        self._blocked = False

    def _ask_whether_still_blocked(self) -> None:
        # The connection is kept: what was published on it as the alarm came is taken in at its end, and a new
        # connection would publish it once more at each attempt.
        try:
            while self._blocked:
                self._connection.drain_events(timeout=0)
        except TimeoutError as nothing_more:
            raise PublishersBlocked() from nothing_more
        except (*self._connection.connection_errors, *self._connection.channel_errors) as error:
            self.drop()
            raise OperationalError(str(error)) from error

    def _forget(self) -> Any:
        connection, self._connection, self._producer, self._blocked = self._connection, None, None, False
        return connection


def _keep_one_client(channel: Any) -> None:
    """Have a Redis channel of kombu use one client: it makes one for each command, a third of what sending costs."""
    make = getattr(channel, "_create_client", None)
    if make is not None:
        client = make()
        channel._create_client = lambda asynchronous=False: make(asynchronous=True) if asynchronous else client
