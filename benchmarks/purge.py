"""Deleting results beside a writer: purge_results and django-celery-results' own delete_expired, in one run; and stats.

Run it as `python -m benchmarks.purge [--rows 1000000] [--databases sqlite postgresql]`. Each contender works in a
process of its own on a copy of the same table, of which 90 % are older than a week, while another process stores a
result every 10 ms. PostgreSQL syncs its commits here, unlike in the tests. Before that, result_stats over all rows.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from django.utils import timezone

from benchmarks.machine import describe

CONTENDERS = ("theirs", "ours", "theirs, listener", "ours, listener")
WEEK = timedelta(days=7)
DAYS = 70  # 7 of them are kept: 10 % of the rows
ROWS = {
    "sqlite": """
        WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {rows})
        INSERT INTO django_celery_results_taskresult ({columns})
        SELECT lower(hex(randomblob(16))), {values} FROM
        (SELECT n, strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{days} days', (n * {step}) || ' seconds') AS at,
                strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{days} days',
                         (n * {step} - n % 1000 / 100.0) || ' seconds') AS started,
                unixepoch('now', '-{days} days') + n * {step} - 11 AS ready
         FROM numbers)
        """,
    "postgresql": """
        INSERT INTO django_celery_results_taskresult ({columns})
        SELECT md5(n::text), {values} FROM
        (SELECT n, now() - interval '{days} days' + n * interval '{step} seconds' AS at,
                now() - interval '{days} days' + (n * {step} - n % 1000 / 100.0) * interval '1 second' AS started,
                round(extract(epoch FROM now() - interval '{days} days') + n * {step} - 11, 3) AS ready
         FROM generate_series(0, {rows} - 1) AS n) AS numbers
        """,
}
VALUES = """'project.tasks.task' || (n % 20), '"(1, ''two'')"', '"{}"',
          CASE WHEN n % 20 = 7 THEN 'FAILURE' ELSE 'SUCCESS' END, 'worker@host', 'application/json', 'utf-8',
          '{"value": 1}', started, started, at,
          CASE WHEN n % 20 = 7 THEN 'Traceback (most recent call last): ...' END,
          '{"children": [], "retries": ' || (n % 2) || ', "queue": "celery", "ready_at": ' || ready || '}'"""
COLUMNS = (
    "task_id, task_name, task_args, task_kwargs, status, worker, content_type, content_encoding, result, "
    "date_created, date_started, date_done, traceback, meta"
)


def fill(vendor: str, rows: int) -> None:
    """Fill the table with ``rows`` results, evenly over 70 days, 5 % of them failures."""
    from django.db import connection

    statement = ROWS[vendor].format(rows=rows, days=DAYS, step=DAYS * 86400 / rows, columns=COLUMNS, values=VALUES)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE" if vendor == "postgresql" else "ANALYZE")


def purge(contender: str) -> dict[str, Any]:
    """Delete what is older than a week, as ``contender`` does it, and return when, how many and how much memory."""
    from celery import current_app
    from django.db.models.signals import post_delete
    from django_celery_results.models import TaskResult

    from maintenance import conf, results
    from maintenance.batches import Pace

    told = [0]

    def listen(**kwargs: Any) -> None:
        told[0] += 1

    if "listener" in contender:
        post_delete.connect(listen, sender=TaskResult)

    def ours(older_than: timedelta) -> None:
        rules = results.plan(now=timezone.now(), given=conf.Results(), older_than=older_than)
        results.purge(rules, pace=Pace(rest=results.default_rest()))

    def theirs(older_than: timedelta) -> None:
        TaskResult.objects.delete_expired(older_than)

    act = ours if contender.startswith("ours") else theirs
    act(timedelta(days=10_000))
    assert current_app
    count, memory, started = TaskResult.objects.count(), peak(), time.monotonic()
    act(WEEK)
    ended = time.monotonic()
    old = TaskResult.objects.filter(date_done__lt=timezone.now() - WEEK - timedelta(minutes=5)).count()
    assert old == 0, old
    deleted = count - TaskResult.objects.exclude(task_id__startswith="writer-").count()
    return {"window": (started, ended), "deleted": deleted, "told": told[0], "grown": peak() - memory}


def read_stats() -> dict[str, Any]:
    """Return how long result_stats takes over the whole table, how many runs it counts, and how much memory."""
    from maintenance.results import stats

    since = timezone.now() - timedelta(days=2 * DAYS)
    stats.read(since=timezone.now())
    memory, started = peak(), time.monotonic()
    found = stats.read(since=since)
    seconds = time.monotonic() - started
    waits = [each.wait.p50 for each in found]
    assert None not in waits, waits
    return {"seconds": seconds, "runs": sum(each.runs for each in found), "grown": peak() - memory}


def peak() -> int:
    """Return the highest memory use of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def write() -> list[tuple[float, float, str]]:
    """Store a result every 10 ms until stdin ends; return when each began, how long it took, and its error."""
    import select

    from django.db.utils import DatabaseError
    from django_celery_results.models import TaskResult

    stored = []
    manager: Any = TaskResult.objects
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        began, trouble = time.monotonic(), ""
        try:
            manager.store_result(
                "application/json", "utf-8", f"writer-{began}", '"done"', "SUCCESS", exception_retry_count=0
            )
        except DatabaseError as error:
            trouble = str(error)
        stored.append((began, time.monotonic() - began, trouble))
    return stored


@contextmanager
def databases(vendor: str, folder: Path, rows: int) -> Iterator[Any]:
    """Give what makes a copy of the filled table and returns its URL."""
    from tests.servers import Postgres

    if vendor == "sqlite":
        url = f"sqlite:///{folder / 'filled.sqlite3'}"
        child(url, "fill", vendor, str(rows))

        def copied(number: int) -> str:
            copy = folder / f"copy{number}.sqlite3"
            shutil.copy(folder / "filled.sqlite3", copy)
            return f"sqlite:///{copy}"

        yield copied
        return
    server = Postgres(folder / "postgres")
    server.args = [arg.replace("fsync=off", "fsync=on") for arg in server.args]
    server.start()
    try:
        child(server.url, "fill", vendor, str(rows))

        def templated(number: int) -> str:
            server._sql(f"DROP DATABASE IF EXISTS copy{number - 1}")
            server._sql(f"CREATE DATABASE copy{number} TEMPLATE test")
            server._sql("CHECKPOINT")
            return server.url.replace("/test", f"/copy{number}")

        yield templated
    finally:
        server.stop()


def environment(url: str) -> dict[str, str]:
    """Return the environment of a child that uses the database ``url``."""
    return {**os.environ, "DATABASE_URL": url, "DEBUG": "1", "DJANGO_SETTINGS_MODULE": "opsproject.settings"}


def child(url: str, *args: str) -> Any:
    """Run this script for one job in a process of its own and return its answer."""
    command = [sys.executable, "-m", "benchmarks.purge", "--job", *args]
    done = subprocess.run(command, env=environment(url), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def measure(url: str, contender: str) -> dict[str, Any]:
    """Return a contender's figures, with those of the writer beside it."""
    command = [sys.executable, "-m", "benchmarks.purge", "--job", "write"]
    writer = subprocess.Popen(command, env=environment(url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    writer.stdout.readline()
    found: dict[str, Any] = child(url, contender)
    stored = json.loads(writer.communicate("stop")[0])
    start, end = found.pop("window")
    during = [each for each in stored if each[0] + each[1] > start and each[0] < end]
    waits = sorted(took for _, took, _ in during)
    errors = [trouble for _, _, trouble in during if trouble]
    return {
        **found,
        "seconds": end - start,
        "rate": found["deleted"] / (end - start),
        "writes": len(waits),
        "p99_ms": 1000 * waits[int(len(waits) * 0.99)],
        "max_ms": 1000 * waits[-1],
        "errors": len(errors),
        "error": errors[0] if errors else "",
    }


def job(args: list[str]) -> None:
    """Do a child's work and print its answer."""
    from django.core.management import call_command

    django.setup()
    answer: Any = None
    if args[0] == "fill":
        call_command("migrate", verbosity=0)
        fill(args[1], int(args[2]))
    else:
        jobs = {"write": write, "stats": read_stats}
        answer = jobs[args[0]]() if args[0] in jobs else purge(args[0])
    print(json.dumps(answer))


def main() -> None:
    """Measure all contenders and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=list(ROWS))
    parser.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job(given.job)
        return
    print(f"{describe()}; {given.rows} rows, 90 % go")
    for vendor in given.databases:
        with tempfile.TemporaryDirectory() as folder, databases(vendor, Path(folder), given.rows) as copy:
            found = child(copy(0), "stats")
            print(f"{vendor:<10} result_stats of {found['runs']} runs: {found['seconds']:.2f} s, +{found['grown']} MiB")
            for number, contender in enumerate(given.contenders, 1):
                found = measure(copy(number), contender)
                print(
                    f"{vendor:<10} {contender:<16} {found['deleted']} rows in {found['seconds']:.1f} s = "
                    f"{found['rate']:,.0f}/s, memory +{found['grown']} MiB; {found['writes']} writes, "
                    f"p99 {found['p99_ms']:.0f} ms, max {found['max_ms']:.0f} ms, {found['errors']} errors "
                    f"{found['error']}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
