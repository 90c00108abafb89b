"""Writing schedules: sync_schedules beside DatabaseScheduler's own update, in one run, on SQLite in a file.

Run it as `python -m benchmarks.sync [--entries 5000]`.
"""

import argparse
import logging
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from celery.schedules import crontab
from django.core.management import call_command
from django.utils import timezone

from benchmarks.machine import describe

LARGE = 10_000


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

    from maintenance.schedules import apply, gather, plan, stored

    def run() -> None:
        current_app.conf.beat_schedule = wanted
        declaration = gather.read(current_app._get_current_object(), extras={})  # type: ignore[attr-defined]
        assert not declaration.errors, declaration.errors[:3]
        tables = stored.read(using="default")
        apply.apply(plan.diff(declaration.entries, tables), stored=tables, using="default", now=timezone.now())

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


def timed(act: Callable[[], None]) -> tuple[float, float]:
    """Return the wall seconds and the CPU seconds of ``act``."""
    wall, cpu = time.monotonic(), time.process_time()
    act()
    return time.monotonic() - wall, time.process_time() - cpu


def empty() -> None:
    """Empty the tables of both."""
    call_command("flush", interactive=False, verbosity=0)


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5000)
    count: int = parser.parse_args().entries
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEST_DATABASE"] = str(Path(folder) / "sync.sqlite3")
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings_full"
        django.setup()
        import tests.celery  # noqa: F401 - makes its app the current one

        call_command("migrate", verbosity=0)
        print(f"{describe()}; SQLite in a file")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        large = ours(entries(LARGE))
        created, unchanged = timed(large), timed(large)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"{LARGE} entries: create {created[1]:.2f} s CPU, unchanged {unchanged[1]:.2f} s CPU (target 10 s), ",
            end="",
        )
        print(f"{grown:.0f} MiB more than before (target 200 MB)")
        taken = {}
        for name, make in (("sync_schedules", ours), ("DatabaseScheduler", theirs)):
            empty()
            act = make(entries(count))
            first, second = timed(act), timed(act)
            taken[name] = (first[0], second[0])
            print(f"{count} entries, {name:<17} create {first[0]:.2f} s ({first[1]:.2f} s CPU), ", end="")
            print(f"unchanged {second[0]:.2f} s ({second[1]:.2f} s CPU)", flush=True)
        (create, same), (their_create, their_same) = taken["sync_schedules"], taken["DatabaseScheduler"]
        print(
            f"ratio: create {their_create / create:.0f}x (target 50), unchanged {their_same / same:.0f}x (target 100)"
        )


if __name__ == "__main__":
    main()
