"""What the tiles show, asked of the broker and of the storages: workers, queues, backups. Any of it may not answer.

Each is given before the connection is closed: Redis' farewell waits up to a second for a read under way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError

from .. import broker
from ..backups import shelves
from ..backups.destination import Destination
from ..backups.shelves import Shelf
from ..errors import Unavailable

# Seconds in which workers answer a ping; whoever answers later is not shown.
_PING = 0.4


@dataclass(frozen=True)
class Queue:
    """A declared queue and how many messages wait in it."""

    name: str
    waiting: int


@contextmanager
def workers(app: Celery) -> Iterator[list[str]]:
    """Give the names of the workers that answer. Raises Unavailable."""
    with _bounded(app) as connection:
        replies = app.control.ping(timeout=_PING, connection=connection)
        # A beat under remote control answers too, and is none.
        yield sorted(name for reply in replies or () for name in reply if not name.startswith("celerybeat@"))


@contextmanager
def queues(app: Celery) -> Iterator[list[Queue]]:
    """Give the declared queues. Raises Unavailable."""
    with _bounded(app) as connection:
        found = []
        for name in sorted(app.amqp.queues):
            channel = connection.channel()  # a queue that is not there closes it on AMQP
            try:
                found.append(Queue(name, channel.queue_declare(queue=name, passive=True).message_count))
                channel.close()
            except tuple(connection.channel_errors):
                found.append(Queue(name, 0))
        yield found


@contextmanager
def backups(destinations: Sequence[Destination]) -> Iterator[tuple[Shelf, ...]]:
    """Give what each destination holds. Raises StorageFailed, OSError."""
    yield shelves.look(destinations)


@contextmanager
def _bounded(app: Celery) -> Iterator[Any]:
    connection: Any = broker.bounded(app)
    try:
        yield connection
    except (*connection.connection_errors, *connection.channel_errors, OSError, KombuError) as error:
        raise Unavailable(service="The broker", reason=str(error).strip().rstrip(".") or "no answer") from error
    finally:
        connection.release()
