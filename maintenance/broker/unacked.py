"""Messages that a worker took and has not acknowledged, as kombu keeps them in Redis: read and returned."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads


@dataclass(frozen=True)
class Held:
    """An unacknowledged message and the queues that it came from: none when it cannot be read, or leads nowhere."""

    tag: str
    message: dict[str, Any]
    queues: tuple[str, ...]


@dataclass(frozen=True)
class Returned:
    """How many messages went back, and the delivery tags of those that could not."""

    count: int
    left: tuple[str, ...] = ()


def held(app: Celery, channel: Any) -> Iterator[Held]:
    """Read what all workers of a Redis broker hold; nothing on a transport that cannot tell. One may come twice."""
    if not (hasattr(channel, "unacked_key") and hasattr(channel, "conn_or_acquire")):
        return
    _know_exchanges(app, channel)
    routes: dict[tuple[str, str], tuple[str, ...]] = {}
    with channel.conn_or_acquire() as client:
        # HSCAN is a command that kombu's client does not prefix by itself.
        for tag, entry in client.hscan_iter(channel.global_keyprefix + channel.unacked_key, count=100):
            yield _held(channel, bytes_to_str(tag), entry, routes)


def return_all(app: Celery, *, url: str) -> Returned:
    """Return every unacknowledged message behind ``url`` to its queue, the oldest to be consumed first.

    Only for a broker that nobody else is connected to: whoever held a message is gone. A message that cannot be
    read, or whose exchange leads to no queue, stays where it is and is reported.
    """
    with app.connection_for_write(url) as connection:
        channel: Any = connection.channel()
        returnable = {each.tag: bool(each.queues) for each in held(app, channel)}
        left = {tag for tag, whole in returnable.items() if not whole}
        with channel.conn_or_acquire() as client:
            newest_first = [bytes_to_str(tag) for tag in client.zrange(channel.unacked_index_key, 0, -1, desc=True)]
            for tag in left:
                # kombu drops such a message, or its worker dies of it, once its time in the index is over.
                client.zrem(channel.unacked_index_key, tag)
            for tag in [*newest_first, *sorted(returnable.keys() - set(newest_first))]:
                if tag not in left:
                    channel.qos.restore_by_tag(tag, client)
            # A worker killed while restoring leaves its mutex behind, which would stop others for 5 minutes.
            client.delete(channel.unacked_mutex_key)
    return Returned(len(returnable) - len(left), tuple(sorted(left)))


def _know_exchanges(app: Celery, channel: Any) -> None:
    """Tell the channel the types of the project's exchanges: it takes an unknown one for direct."""
    for queue in app.amqp.queues.values():
        if queue.exchange is not None:
            queue.exchange(channel).declare()


def _held(channel: Any, tag: str, entry: bytes, routes: dict[tuple[str, str], tuple[str, ...]]) -> Held:
    """Return a message with its queues. It has none when kombu would drop it instead of restoring it."""
    try:
        message, exchange, routing_key = loads(bytes_to_str(entry))
        message["headers"].get("redelivered")
        message["properties"]["delivery_info"].get("redelivered")
        if (exchange, routing_key) not in routes:
            routes[exchange, routing_key] = tuple(channel._lookup(exchange, routing_key))
    except (ValueError, TypeError, LookupError, AttributeError):
        return Held(tag, {}, ())
    queues = routes[exchange, routing_key]
    return Held(tag, message, queues if all(queues) else ())
