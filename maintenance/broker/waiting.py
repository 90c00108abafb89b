"""What waits in the queues: how many messages, and since when the oldest. Nothing is taken out for it."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amqp import exceptions as amqp
from celery import Celery
from kombu import Connection

from ..sent import HEADER


@dataclass(frozen=True)
class Waiting:
    """A queue: its messages, and since when (seconds since 1970) the oldest could have been done; None: not known."""

    queue: str
    messages: int
    oldest: float | None = None
    unknown: str = ""
    """Why the oldest is not known."""


def waiting(app: Celery, connection: Connection, queues: Iterable[str]) -> Iterator[Waiting]:
    """Return what waits in each of ``queues``. Raises the connection's errors."""
    look = _looker(connection)
    for queue in queues:
        yield look(connection.default_channel, queue)


def _looker(connection: Connection) -> Callable[[Any, str], Waiting]:
    channel: Any = connection.default_channel
    if hasattr(channel, "_q_for_pri") and hasattr(channel, "conn_or_acquire"):
        return _on_redis
    if hasattr(channel, "data_folder_in"):
        return _in_files
    if hasattr(channel, "_size"):
        return lambda channel, queue: Waiting(queue, int(channel._size(queue)), unknown="its transport cannot tell")
    return lambda channel, queue: _declared(connection, queue)


def _on_redis(channel: Any, queue: str) -> Waiting:
    """A queue is a list a priority; messages come in on the left and are taken from the right."""
    count, since, unknown = 0, [], ""
    with channel.conn_or_acquire() as client:
        for priority in channel.priority_steps:
            key = channel._q_for_pri(queue, priority)
            count += int(client.llen(key))
            # kombu's client prefixes only the commands that it uses itself, which this one is not.
            raw = client.execute_command("LINDEX", f"{channel.global_keyprefix}{key}", -1)
            if raw:
                moment = _ready(raw)
                unknown = unknown or ("" if moment else "who sent them has not noted when")
                since += [moment] if moment else []
    return Waiting(queue, count, min(since, default=None), unknown)


def _in_files(channel: Any, queue: str) -> Waiting:
    files = [path for path in Path(channel.data_folder_in).glob("*.msg") if path.name.endswith(f".{queue}.msg")]
    times = []
    for path in files:
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:  # a worker took it meanwhile
            continue
    return Waiting(queue, len(times), min(times, default=None))


def _declared(connection: Connection, queue: str) -> Waiting:
    channel: Any = connection.channel()  # the broker closes it where there is no such queue
    try:
        count = int(channel.queue_declare(queue, passive=True).message_count)
        return Waiting(queue, count, unknown="AMQP does not tell")
    except amqp.NotFound:  # nobody has ever sent there, nor listened
        return Waiting(queue, 0)
    finally:
        channel.close()


def _ready(raw: bytes) -> float | None:
    """Return since when a message could have been done: when it was sent, or its ETA."""
    try:
        headers = json.loads(raw)["headers"]
        sent, eta = headers.get(HEADER), headers.get("eta")
        if not isinstance(sent, float | int):
            return None
        due = datetime.fromisoformat(eta) if eta else None
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    if due is None:
        return float(sent)
    return max(float(sent), (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp())
