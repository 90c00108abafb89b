"""What doctor alone asks, since it takes longer than a probe has: limits, programs, and who knows which task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections

from ...backups.errors import ToolMissing, ToolTooOld
from ...units import counted
from .. import asking
from ..base import Check, Figure, OfApp

_LIMITS: Final = {
    # What superusers keep for themselves is not for workers.
    "postgresql": "SELECT sum(setting::int * CASE name WHEN 'max_connections' THEN 1 ELSE -1 END) FROM pg_settings "
    "WHERE name IN ('max_connections', 'superuser_reserved_connections')",
    "mysql": "SELECT @@max_connections",
}


@dataclass(repr=False)
class Connections(OfApp):
    """The database takes as many connections as the workers that answer may open at once."""

    alias: str = DEFAULT_DB_ALIAS
    wait: float = 1.0
    id: ClassVar[str] = "database.connections"
    title: ClassVar[str] = "connections"
    needs: ClassVar[tuple[str, ...]] = ("database", "broker", "workers")
    consequence: ClassVar[str] = 'The busiest moment is when tasks fail: "too many connections".'

    @property
    def label(self) -> str:
        return "" if self.alias == DEFAULT_DB_ALIAS else self.alias

    def ask(self) -> Iterator[str | Figure]:
        statement = _LIMITS.get(connections[self.alias].vendor)
        if statement is None:
            yield f"{connections[self.alias].display_name} has no limit."
            return
        with asking.the_database(), connections[self.alias].cursor() as cursor:
            cursor.execute(statement)
            limit = int(cursor.fetchone()[0])
        stats = asking.workers(self.app, "stats", wait=self.wait)
        wanted = sum(int((each.get("pool") or {}).get("max-concurrency") or 1) for each in stats.values())
        yield Figure("database_connections_limit", limit)
        if wanted > limit:
            cure = "Lower -c of the workers, or set max_connections higher, or put a pooler in between."
            who = f"{counted(len(stats), 'worker')} {'runs' if len(stats) == 1 else 'run'}"
            raise self.failed(f"{who} {wanted} tasks at once, and it takes {limit}.", cure=cure)
        yield f"It takes {limit}, of which workers may open {wanted}."


@dataclass(repr=False)
class Programs(Check):
    """The program that dumps a database is there, and not older than the server."""

    find: Callable[[str], object] = field(default=lambda alias: None, repr=False, compare=False)
    alias: str = DEFAULT_DB_ALIAS
    id: ClassVar[str] = "backups.programs"
    title: ClassVar[str] = "backup programs"
    needs: ClassVar[tuple[str, ...]] = ("database",)
    consequence: ClassVar[str] = "No backup of it can be made here."

    @property
    def label(self) -> str:
        return "" if self.alias == DEFAULT_DB_ALIAS else self.alias

    def ask(self) -> Iterator[str | Figure]:
        try:
            with asking.the_database():
                self.find(self.alias)
        except (ToolMissing, ToolTooOld) as error:
            raise self.failed(error.message, cure=error.cure) from error
        yield "They fit the server."


@dataclass(repr=False)
class Registered(OfApp):
    """Each task that an enabled schedule sends is known to a worker that answers."""

    wait: float = 1.0
    id: ClassVar[str] = "schedules.registered"
    title: ClassVar[str] = "scheduled tasks"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations", "broker", "workers")
    consequence: ClassVar[str] = "Workers throw its messages away: the task is never done."
    cure: ClassVar[str] = "Restart the workers with the code that has it, or correct the schedule."

    def ask(self) -> Iterator[str | Figure]:
        sent = self._sent()
        answers = asking.workers(self.app, "registered", wait=self.wait)
        known = {name.split(" ")[0] for names in answers.values() for name in names}
        lost = {schedule: task for schedule, task in sent.items() if task not in known}
        if lost:
            schedule, task = next(iter(lost.items()))
            more = f" And {len(lost) - 1} more." if len(lost) > 1 else ""
            raise self.failed(f"The schedule {schedule!r} sends {task!r}, which no worker knows.{more}")
        yield f"Workers know what {counted(len(sent), 'schedule')} {'sends' if len(sent) == 1 else 'send'}."

    def _sent(self) -> dict[str, str]:
        if not apps.is_installed("django_celery_beat"):
            return {name: str(entry["task"]) for name, entry in self.app.conf.beat_schedule.items()}
        from ...schedules import enabled

        with asking.the_database():
            return enabled.tasks(using=enabled.alias())
