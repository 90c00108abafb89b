"""The parts of the status. Each asks one service, and is silent when that is: the others are shown."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from celery import Celery
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from ... import broker, results, space
from ...backups import shelves
from ...backups.destination import Destination
from ...backups.names import DATABASE
from ...broker.waiting import waiting
from ...models import Lease
from ...results import listing as results_listing
from ...timestamp import Now
from .. import asking
from ..base import OK, Check, Figure, OfApp
from ..checks import Broker
from ..checks.workers import consumed
from ..runner import FAILED, Finding, look

NEXT: Final = 5
FAILURES: Final = 5
_POOLS: Final = {"asynpool": "prefork", "prefork": "prefork", "thread": "threads"}

Rows = list[dict[str, Any]]


@dataclass(repr=False)
class Part(Check):
    """A part of the status: asked as a check is, it keeps what it read."""

    read: Rows | None = field(default=None, compare=False, kw_only=True)
    hanging: ClassVar[str] = FAILED

    def ask(self) -> Iterator[str | Figure]:
        self.read = self.rows()
        yield "asked"

    @abstractmethod
    def rows(self) -> Rows:
        """Return what is to be shown, as JSON has it. Raises CouldNotAsk, MaintenanceError."""


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


@dataclass(repr=False)
class Schedules(Part):
    """The enabled schedules: the next runs, and the late ones."""

    id: ClassVar[str] = "schedules"
    title: ClassVar[str] = "Schedules"

    def rows(self) -> Rows:
        if not apps.is_installed("django_celery_beat"):
            return []
        from ...schedules import listing

        with asking.the_database():
            found = listing.schedules(now=datetime.now(UTC), using=DEFAULT_DB_ALIAS)
        coming = sorted((each for each in found if each.next_runs), key=lambda each: each.next_runs[0])
        shown = [each for each in coming if each.late] + [each for each in coming if not each.late][:NEXT]
        return [
            {"name": each.entry.name, "task": each.entry.task, "due": each.next_runs[0], "late": each.late}
            for each in shown
        ]


@dataclass(repr=False)
class Failures(Part):
    """The last failures."""

    id: ClassVar[str] = "failures"
    title: ClassVar[str] = "Failures"

    def rows(self) -> Rows:
        if not apps.is_installed("django_celery_results"):
            return []
        with asking.the_database():
            found = results_listing.read(results_listing.select(failed=True), limit=FAILURES)
        return [{"task": each.task, "id": each.id, "at": each.at, "error": each.error} for each in found]


@dataclass(repr=False)
class Backups(Part):
    """The newest backup of each database and destination, and the last proof of one."""

    destinations: Sequence[Destination] = ()
    id: ClassVar[str] = "backups"
    title: ClassVar[str] = "Backups"

    def rows(self) -> Rows:
        rows: Rows = []
        for shelf in shelves.look(self.destinations):
            entries = [entry for entry in shelf.catalog.entries if entry.manifest.kind == DATABASE]
            for alias in dict.fromkeys(entry.manifest.alias for entry in entries):
                ours = [entry for entry in entries if entry.manifest.alias == alias]
                newest = max(ours, key=lambda entry: entry.manifest.started).manifest
                proofs = [entry.verified for entry in ours if entry.verified]
                proof = max(proofs, key=lambda proof: proof.at) if proofs else None
                rows.append(
                    {
                        "alias": alias,
                        "destination": shelf.destination.alias or shelf.destination.label,
                        "id": newest.id,
                        "finished": newest.finished,
                        "bytes": newest.stored_bytes,
                        "verified": proof and proof.at,
                        "verified_level": proof and proof.level,
                        "verified_ok": proof and proof.ok,
                    }
                )
        return rows


@dataclass(repr=False)
class Results(Part):
    """The size of the results' tables; on SQLite of the whole file."""

    id: ClassVar[str] = "results"
    title: ClassVar[str] = "Results"

    def rows(self) -> Rows:
        if not apps.is_installed("django_celery_results"):
            return []
        with asking.the_database():
            using, names = results.alias(), results.table_names()
            found = space.measure(names, using=using)
            last = results_listing.select().values_list("date_done", flat=True).first()
        whole = space.blocks_writers(using)
        return [{"database": using, "bytes": found.bytes, "of_whole_file": whole, "newest": last}]


PARTS: Final = ("workers", "queues", "beat", "schedules", "failures", "backups", "results")


def parts(
    app: Celery, *, destinations: Callable[[], Sequence[Destination]], seconds: float, secrets: Sequence[str]
) -> list[tuple[Part, Finding]]:
    """Ask every part, ``seconds`` for all of them; return each with what became of it."""
    wait = min(1.0, seconds / 4)
    asked: list[Part] = [
        Workers(app, wait),
        Queues(app, wait),
        Beats(app, wait),
        Schedules(),
        Failures(),
        Backups(destinations()),
        Results(),
    ]
    first, *found = look([Broker(app), *asked], deadline=seconds, secrets=secrets)
    # What needs the broker says why that is silent, rather than that it must be mended first.
    return [
        (part, first if first.id in part.needs and first.state != OK else finding)
        for part, finding in zip(asked, found, strict=True)
    ]


def _pool(found: dict[str, Any]) -> str:
    last = str(found.get("implementation", "")).partition(":")[0].rpartition(".")[2]
    return _POOLS.get(last, last)


def _moment(since: float | None) -> datetime | None:
    return None if since is None else datetime.fromtimestamp(since, UTC)
