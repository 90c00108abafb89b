"""Who works: workers, the queues that they consume, and beats. Told by the broker, and by beat's lease."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from ... import broker
from ...broker.waiting import waiting
from ...models import Lease
from ...timestamp import Now
from .. import asking
from ..base import OfApp
from ..checks.workers import consumed
from .part import Part, Rows

_POOLS: Final = {"asynpool": "prefork", "prefork": "prefork", "thread": "threads"}


@dataclass(repr=False)
class Workers(Part, OfApp):
    """The workers that answer: host, pool, what they do and did, since when."""

    wait: float = 1.0
    id: ClassVar[str] = "workers"
    title: ClassVar[str] = "Workers"
    needs: ClassVar[tuple[str, ...]] = ("broker",)

    def rows(self) -> Rows:
        stats, active = (asking.workers(self.app, question, wait=self.wait) for question in ("stats", "active"))
        return [
            {
                "name": name,
                "host": name.partition("@")[2],
                "pool": _pool(found.get("pool") or {}),
                "concurrency": (found.get("pool") or {}).get("max-concurrency"),
                "active": len(active.get(name) or ()),
                "processed": sum((found.get("total") or {}).values()),
                "uptime_seconds": found.get("uptime"),
            }
            for name, found in sorted(stats.items())
        ]


@dataclass(repr=False)
class Queues(Part, OfApp):
    """The declared queues: how much waits, since when, and for how many workers."""

    wait: float = 1.0
    id: ClassVar[str] = "queues"
    title: ClassVar[str] = "Queues"
    needs: ClassVar[tuple[str, ...]] = ("broker",)

    def rows(self) -> Rows:
        with asking.the_broker(self.app) as connection:
            found = list(waiting(self.app, connection, sorted(self.app.amqp.queues)))
        workers = consumed(self.app, self.wait)
        return [
            {
                "name": each.queue,
                "waiting": each.messages,
                "oldest": _moment(each.oldest),
                "oldest_unknown": each.unknown if each.messages and each.oldest is None else "",
                "consumers": sum(each.queue in queues for queues in workers.values()),
            }
            for each in found
        ]


@dataclass(repr=False)
class Beats(Part, OfApp):
    """Beat: who leads, by the lease, and who else answers a ping: they stand by."""

    wait: float = 1.0
    id: ClassVar[str] = "beat"
    title: ClassVar[str] = "Beat"

    def rows(self) -> Rows:
        with asking.the_database():
            lease = Lease.objects.filter(name="beat", expires__gt=Now()).first()
        leader: Rows = []
        if lease is not None:
            leader = [{"name": lease.host_and_process, "leads": True, "since": lease.since, "trouble": ""}]
        reason = broker.unreachable(self.app)
        if reason is not None:
            trouble = f"who stands by could not be asked: {reason}"
            return [*leader, {"name": "", "leads": False, "since": None, "trouble": trouble}]
        names = asking.beats(self.app, wait=self.wait)
        host = leader[0]["name"].rpartition(":")[0] if leader else None
        led = next((name for name in names if name.partition("@")[2] == host), None)
        if led is not None:
            names.remove(led)
        return [*leader, *({"name": name, "leads": False, "since": None, "trouble": ""} for name in names)]


def _pool(found: dict[str, Any]) -> str:
    last = str(found.get("implementation", "")).partition(":")[0].rpartition(".")[2]
    return _POOLS.get(last, last)


def _moment(since: float | None) -> datetime | None:
    return None if since is None else datetime.fromtimestamp(since, UTC)
