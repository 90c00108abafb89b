"""manage.py result_stats"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json, value
from maintenance.results import stats
from maintenance.results.retention import ago

HEAD = ("Runs", "Failed", "Retries", "p50", "p95", "max", "Wait p50", "p95", "max")


class Command(BaseCommand):
    help = "Tell of each task how often it ran, failed and was retried, how long it ran, how long it waited."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        since = "what ended in the last TIME (default: 24h)"
        add("--since", type=value(units.duration), default=timedelta(hours=24), metavar="TIME", help=since)
        add_database(parser, default=None)
        add_json(parser)

    def handle(self, *, since: timedelta, json: bool, **options: Any) -> None:
        start = ago(since, timezone.now())
        found = stats.read(since=start, using=options["database"])
        if json:
            self.document(since=start, tasks=[asdict(each) for each in found])
        else:
            self.answer("\n".join(_lines(found)) if found else f"No results of the last {units.human_duration(since)}.")


def _lines(found: list[stats.TaskStats]) -> list[str]:
    width = max(len(each.task or "(no name)") for each in found)
    rows = [("Task", *HEAD), *((each.task or "(no name)", *_figures(each)) for each in found)]
    return [f"{task:<{width}}" + "".join(f"  {figure:>8}" for figure in figures) for task, *figures in rows]


def _figures(each: stats.TaskStats) -> list[str]:
    times = (*asdict(each.duration).values(), *asdict(each.wait).values())
    known = ["-" if seconds is None else units.human_duration(seconds) for seconds in times]
    return [str(each.runs), str(each.failures), str(each.retries), *known]
