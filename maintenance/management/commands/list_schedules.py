"""manage.py list_schedules"""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from maintenance import kinds, results, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value
from maintenance.management.found import require_beat_tables

if TYPE_CHECKING:
    from maintenance.schedules.listing import Listed


class Command(BaseCommand):
    help = (
        "List every schedule of the tables: what it sends, when next, how the last run ended, and whether it is late."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--next", type=value(units.whole), default=1, metavar="N", help="so many next runs (default: 1)")
        add("--late", action="store_true", help="only late ones (by their misfire time, else 5m); 1 when there is any")
        add("--failed", action="store_true", help="only those whose last run failed")
        add("--source", choices=("code", "admin"), help="only those of the settings, or made by others")
        add("--timezone", type=value(kinds.zone), metavar="ZONE", help="show times in this zone (default: TIME_ZONE)")
        add("--dst", action="store_true", help="tell what happens at the next two changes of each zone's clocks")
        add("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="alias of DATABASES")
        how = parser.add_mutually_exclusive_group()
        add_json(how)
        how.add_argument("--export", action="store_true", help="print them as Python for the settings")

    def handle(self, *, database: str, late: bool, failed: bool, source: str | None, dst: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import export, listing

        zone = ZoneInfo(options["timezone"]) if options["timezone"] else timezone.get_default_timezone()
        now, finished = datetime.now(UTC), results.last_of_schedules()
        found = listing.schedules(now=now, using=database, count=options["next"], finished=finished, changes=dst)
        found = [each for each in found if (not late or each.late) and (not failed or each.failed)]
        found = [each for each in found if not source or each.source == source]
        if options["export"]:
            self.stdout.write(export.python(each.entry for each in found), ending="")
        elif options["json"]:
            self.document(schedules=[_facts(each, zone) for each in found])
        else:
            for each in found:
                self.answer("\n".join(_lines(each, zone, now)))
            self.answer(f"{units.counted(len(found), 'schedule')}, {sum(each.late for each in found)} late.")
        if late and found:
            raise SystemExit(1)


def _lines(each: "Listed", zone: tzinfo, now: datetime) -> Iterator[str]:
    entry = each.entry
    marks = [each.source, *([] if entry.enabled else ["disabled"]), *(["LATE"] if each.late else [])]
    yield f"{entry.name}: {entry.task}, {entry.timing} ({', '.join(marks)})"
    for run in each.next_runs:
        yield f"    next {_local(run, zone)} ({_away(run, now)})"
    if each.last_sent:
        yield f"    last sent {_local(each.last_sent, zone)}"
    if each.finished:
        took = f" after {units.human_duration(each.finished.took)}" if each.finished.took is not None else ""
        yield f"    last finished {_local(each.finished.at, zone)}: {each.finished.status}{took}"
    for change in each.transitions:
        yield f"    clocks change {_local(change.at, zone)}: {change.effect}"


def _facts(each: "Listed", zone: tzinfo) -> dict[str, Any]:
    done = each.finished
    return {
        "name": each.entry.name,
        "task": each.entry.task,
        "schedule": str(each.entry.timing),
        "timezone": getattr(each.entry.timing, "zone", None),
        "enabled": each.entry.enabled,
        "source": each.source,
        "next": [run.astimezone(zone) for run in each.next_runs],
        "last_sent": each.last_sent and each.last_sent.astimezone(zone),
        "sent": each.sent,
        "last_finished": done and {"at": done.at.astimezone(zone), "status": done.status, "seconds": done.took},
        "late": each.late,
        "clock_changes": [{"at": change.at.astimezone(zone), "effect": change.effect} for change in each.transitions],
    }


def _local(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _away(run: datetime, now: datetime) -> str:
    seconds = (run - now).total_seconds()
    words = units.human_duration(round(abs(seconds)))
    return f"in {words}" if seconds > 0 else f"due for {words}"
