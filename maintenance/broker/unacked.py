"""Messages that a worker took and never acknowledged: back to their queues, the way kombu itself restores them."""

from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads


@dataclass(frozen=True)
class Returned:
    """How many messages went back, and the delivery tags of those that could not."""

    count: int
    left: tuple[str, ...] = ()


def return_all(app: Celery, *, url: str) -> Returned:
    """Return every unacknowledged message behind ``url`` to its queue, the oldest to be consumed first.

    Only for a broker that nobody else is connected to: whoever held a message is gone. A message that cannot be
    read, or whose exchange leads to no queue, stays where it is and is reported.
    """
    with app.connection_for_write(url) as connection:
        channel: Any = connection.channel()
        _know_exchanges(app, channel)
        with channel.conn_or_acquire() as client:
            # HKEYS is a command that kombu's client does not prefix by itself.
            tags = {bytes_to_str(tag) for tag in client.hkeys(channel.global_keyprefix + channel.unacked_key)}
            newest_first = [bytes_to_str(tag) for tag in client.zrange(channel.unacked_index_key, 0, -1, desc=True)]
            left = {tag for tag in tags if not _returnable(channel, client.hget(channel.unacked_key, tag))}
            for tag in left:
                # kombu drops such a message, or its worker dies of it, once its time in the index is over.
                client.zrem(channel.unacked_index_key, tag)
            for tag in [*newest_first, *sorted(tags.difference(newest_first))]:
                if tag not in left:
                    channel.qos.restore_by_tag(tag, client)
            # A worker killed while restoring leaves its mutex behind, which would stop others for 5 minutes.
            client.delete(channel.unacked_mutex_key)
    return Returned(len(tags) - len(left), tuple(sorted(left)))


def _know_exchanges(app: Celery, channel: Any) -> None:
    """Tell the channel the types of the project's exchanges: it takes an unknown one for direct."""
    for queue in app.amqp.queues.values():
        if queue.exchange is not None:
            queue.exchange(channel).declare()


def _returnable(channel: Any, entry: bytes) -> bool:
    """Return whether kombu can restore this message. It drops those that it cannot."""
    try:
        payload, exchange, routing_key = loads(bytes_to_str(entry))
        payload["headers"].get("redelivered")
        payload["properties"]["delivery_info"].get("redelivered")
        queues = channel._lookup(exchange, routing_key)
    except (ValueError, TypeError, LookupError, AttributeError):
        return False
    return bool(queues) and all(queues)
