"""manage.py list_schedules"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import kinds, results, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json, value
from maintenance.management.found import require_beat_tables


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
        add_database(parser)
        how = parser.add_mutually_exclusive_group()
        add_json(how)
        how.add_argument("--export", action="store_true", help="print them as Python for the settings")

    def handle(self, *, database: str, late: bool, failed: bool, source: str | None, dst: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import export, listing, timetable

        zone = ZoneInfo(options["timezone"]) if options["timezone"] else timezone.get_default_timezone()
        now, finished = datetime.now(UTC), results.last_of_schedules()
        found = listing.schedules(now=now, using=database, count=options["next"], finished=finished, changes=dst)
        found = listing.narrowed(found, late=late, failed=failed, source=source)
        if options["export"]:
            self.stdout.write(export.python(each.entry for each in found), ending="")
        elif options["json"]:
            self.document(schedules=[timetable.facts(each, zone=zone) for each in found])
        else:
            for each in found:
                self.answer("\n".join(timetable.lines(each, zone=zone, now=now)))
            self.answer(f"{units.counted(len(found), 'schedule')}, {sum(each.late for each in found)} late.")
        if late and found:
            raise SystemExit(1)
