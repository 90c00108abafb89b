"""Writing schedules: sync_schedules beside DatabaseScheduler's own update, in one run, on SQLite in a file.

Run it as `python -m benchmarks.sync [--entries 5000] [--pairs 3]` (Linux, macOS: it forks).
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing import Pipe, get_context
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any, NamedTuple

import django
from celery.schedules import crontab
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from benchmarks.machine import describe

LARGE = 10_000
OURS, THEIRS = "sync_schedules", "DatabaseScheduler"


class Taken(NamedTuple):
    """Seconds by the clock, seconds of CPU, and by how many MiB the process grew."""

    wall: float
    cpu: float
    mib: float


def entries(count: int) -> dict[str, Any]:
    """Return a half of intervals and a half of crontabs, of 500 kinds each.

    With more than 1,000 kinds DatabaseScheduler cannot read its own tables on SQLite ("Expression tree is too large").
    """
    task = "celery.accumulate"
    return {
        f"entry {number}": {
            "task": task,
            "schedule": number % 1000 + 1.0 if number % 2 else crontab(minute=number % 60, hour=number % 1000 // 60),
            "args": (number,),
            "options": {"queue": "celery", "expires": 3600},
        }
        for number in range(count)
    }


def ours(wanted: dict[str, Any]) -> Callable[[], None]:
    """Return what sync_schedules does: parse, read, compare, write."""
    from celery import current_app

    from maintenance.schedules import apply, gather, stored
    from maintenance.schedules.diff import diff

    def run() -> None:
        current_app.conf.beat_schedule = wanted
        declaration = gather.read(current_app._get_current_object(), extras={})  # type: ignore[attr-defined]
        assert not declaration.errors, declaration.errors[:3]
        tables = stored.read(using="default")
        apply.apply(diff(declaration.entries, tables), stored=tables, using="default", now=timezone.now())

    return run


def theirs(wanted: dict[str, Any]) -> Callable[[], None]:
    """Return what a beat with DatabaseScheduler does with the settings' entries when it starts."""
    from celery import current_app
    from django_celery_beat.schedulers import DatabaseScheduler

    def run() -> None:
        scheduler = DatabaseScheduler(app=current_app._get_current_object(), lazy=True)  # type: ignore[attr-defined]
        scheduler._schedule = {}
        scheduler.update_from_dict(wanted)

    return run


def timed(act: Callable[[], None]) -> Taken:
    """Measure ``act`` in a process of its own, as manage.py and beat are: nothing is known from the run before."""
    receiver, sender = Pipe(duplex=False)

    def child() -> None:
        before = getrusage(RUSAGE_SELF).ru_maxrss
        wall, cpu = time.monotonic(), time.process_time()
        act()
        grown = (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1024
        sender.send(Taken(time.monotonic() - wall, time.process_time() - cpu, grown))

    connections.close_all()
    process = get_context("fork").Process(target=child)
    process.start()
    taken: Taken = receiver.recv()
    process.join()
    return taken


def empty() -> None:
    """Empty the tables of both."""
    call_command("flush", interactive=False, verbosity=0)


def middle(runs: list[Taken]) -> Taken:
    """Return the run whose wall time is the median."""
    return sorted(runs)[len(runs) // 2]


def compare(count: int, pairs: int) -> None:
    """Measure both in turns, and print what each took and the ratios."""
    wanted = entries(count)
    runs: dict[tuple[str, str], list[Taken]] = {}
    for number in range(pairs):
        for name, make in ((OURS, ours), (THEIRS, theirs)):
            empty()
            act = make(wanted)
            for step in ("create", "unchanged"):
                taken = timed(act)
                runs.setdefault((name, step), []).append(taken)
                print(f"run {number + 1}: {name:<17} {step:<9} {taken.wall:7.2f} s ({taken.cpu:.2f} CPU)", flush=True)
    for step, target in (("create", 50), ("unchanged", 100)):
        our, their = middle(runs[OURS, step]), middle(runs[THEIRS, step])
        print(
            f"{count} entries, {step}: {our.wall:.2f} s ({our.cpu:.2f} CPU) and {their.wall:.2f} s ({their.cpu:.2f} ",
            end="",
        )
        print(f"CPU): {their.wall / our.wall:.0f}x, {their.cpu / our.cpu:.0f}x of CPU (target {target})", flush=True)


def main() -> None:
    """Measure both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEST_DATABASE"] = str(Path(folder) / "sync.sqlite3")
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings_full"
        django.setup()
        from maintenance import project
        from tests.celery import app

        project.discover(app)  # beat's start and manage.py import the tasks alike
        call_command("migrate", verbosity=0)
        print(f"{describe()}; SQLite in a file; medians of {options.pairs} runs in turns, each in a fresh process")
        large = ours(entries(LARGE))
        for step in ("create", "unchanged"):
            taken = timed(large)
            print(
                f"{LARGE} entries, {step}: {taken.cpu:.2f} s CPU (target 10), {taken.mib:.0f} MiB more (target 200 MB)"
            )
        compare(options.entries, options.pairs)


if __name__ == "__main__":
    main()
