"""Queues: how many messages wait, and how long the oldest has been waiting."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from ...broker.waiting import waiting
from ...units import counted, human_duration
from .. import asking
from ..base import Figure, OfApp


@dataclass(repr=False)
class QueueAge(OfApp):
    """The oldest message of no queue waits for too long."""

    oldest: timedelta = timedelta(minutes=15)
    most: int | None = None
    """How many messages may wait in a queue; None: any number."""
    id: ClassVar[str] = "queue.age"
    title: ClassVar[str] = "waiting messages"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    consequence: ClassVar[str] = "Work is done late, and what has an expiry not at all."
    cure: ClassVar[str] = "See that a worker consumes the queue, and start more, or move long tasks to a queue apart."

    def ask(self) -> Iterator[str | Figure]:
        with asking.the_broker(self.app) as connection:
            found = list(waiting(self.app, connection, self.app.amqp.queues))
        now, old, deep, blind = time.time(), [], [], {}
        for each in found:
            yield Figure("queue_messages", each.messages, {"queue": each.queue})
            if self.most is not None and each.messages > self.most:
                deep.append(f"{counted(each.messages, 'message')} wait in {each.queue!r}.")
            if each.messages and each.oldest is None:
                blind[each.queue] = each.unknown
                continue
            age = max(0.0, now - (each.oldest or now))
            yield Figure("queue_oldest_seconds", age, {"queue": each.queue})
            if age > self.oldest.total_seconds():
                old.append(f"The oldest of {counted(each.messages, 'message')} in {each.queue!r} has waited for "
                           f"{human_duration(round(age))}.")  # fmt: skip
        if old:
            raise self.failed(" ".join(old))
        if deep:
            raise self.warning(" ".join(deep))
        yield f"{counted(sum(each.messages for each in found), 'message')} in {counted(len(found), 'queue')}."
        for queue, why in blind.items():
            yield f"How long those in {queue!r} have waited is not known: {why}."
