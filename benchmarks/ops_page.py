"""The ops page on PostgreSQL with many schedules and results: how long it takes, and how many queries.

Run it as `python -m benchmarks.ops_page [--schedules 10000] [--results 1000000]`. The results are of the last seven
days, a hundredth of them of ten busy schedules; the page is asked for through Django's test client, with nobody else
at the database and no broker: what brokers and storages may take is bounded beside it.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

# Pages that are not counted, but for the first: the late schedules and charts are looked at once a minute, beside them.
_WARM = 4
PAGE = "/admin/maintenance/operations/"
RESULTS = """
    INSERT INTO django_celery_results_taskresult (task_id, task_name, periodic_task_name, task_args, task_kwargs,
        status, worker, content_type, content_encoding, result, date_created, date_started, date_done, traceback, meta)
    SELECT md5(n::text), 'project.tasks.task' || (n % 40),
        CASE WHEN n % 100 = 0 THEN 'schedule' || (n / 100 % 10) ELSE 'schedule' || (n % {schedules}) END,
        '"(1, ''two'')"', '"{{}}"', CASE WHEN n % 20 = 7 THEN 'FAILURE' ELSE 'SUCCESS' END, 'worker@host',
        'application/json', 'utf-8', '{{"exc_type": "ValueError", "exc_message": ["no such order"]}}', at, at,
        at + (n % 300) * interval '0.1 seconds',
        CASE WHEN n % 20 = 7 THEN repeat('Traceback (most recent call last) ', 30) END, '{{"children": []}}'
    FROM (SELECT n, now() - interval '7 days' + n * (interval '7 days' / {results}) AS at
        FROM generate_series(0, {results} - 1) AS n) AS numbers
    """


def fill(schedules: int, results: int) -> None:
    """Make the schedules, half of them intervals and half crontabs in some zones, and the results."""
    from django.db import connection
    from django.utils import timezone
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    zones = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
    crontabs = CrontabSchedule.objects.bulk_create(
        CrontabSchedule(minute=str(minute), hour="*/2", timezone=zones[minute % 4]) for minute in range(60)
    )
    intervals = IntervalSchedule.objects.bulk_create(
        IntervalSchedule(every=every, period="minutes") for every in range(1, 61)
    )
    PeriodicTask.objects.bulk_create(
        PeriodicTask(
            name=f"schedule{number}",
            task=f"project.tasks.task{number % 40}",
            last_run_at=timezone.now(),
            crontab=crontabs[number % 60] if number % 2 else None,
            interval=None if number % 2 else intervals[number % 60],
        )
        for number in range(schedules)
    )
    with connection.cursor() as cursor:
        cursor.execute(RESULTS.format(schedules=schedules, results=results))
        cursor.execute("VACUUM ANALYZE")


def measure(query: str, times: int, *, anew: bool) -> dict[str, Any]:
    """Return how long the page takes, first and then, and what it costs the database.

    ``anew`` is for who comes after a pause: no answer or count of an earlier request serves again.
    """
    from django.contrib.auth.models import User
    from django.db import connection, reset_queries
    from django.test import Client

    from maintenance.operations import page

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get_or_create(username="ada", is_superuser=True, is_staff=True)[0])
    took, queries = [], []
    for number in range(times + _WARM):
        if anew:
            page.forget()
        reset_queries()
        started = time.perf_counter()
        answer = client.get(PAGE + query)
        if number == 0 or number >= _WARM:
            took.append(time.perf_counter() - started)
        assert answer.status_code == 200
        queries = list(connection.queries)
    slowest = sorted(queries, key=lambda query: float(query["time"]), reverse=True)[:3]
    return {
        "first": took[0],
        "median": statistics.median(took[1:]),
        "most": max(took[1:]),
        "queries": len(queries),
        "in_queries": sum(float(each["time"]) for each in queries),
        "bytes": len(answer.content),
        "slowest": [f"{each['time']} s: {each['sql'][:140]}" for each in slowest],
    }


def main() -> None:
    """Fill a private PostgreSQL and print the figures of some pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--results", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=8)
    parser.add_argument("--verbose", action="store_true", help="show the slowest queries")
    given = parser.parse_args()
    from tests.servers import Postgres

    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder) / "postgres")
        server.start()
        try:
            os.environ |= {
                "DATABASE_URL": server.url,
                "DEBUG": "1",
                "DJANGO_SETTINGS_MODULE": "opsproject.settings",
                "VAR_DIR": folder,
                "CELERY_BROKER_URL": "memory://",
            }
            from django.core.management import call_command

            import opsproject.wsgi  # noqa: F401 - as a server starts

            call_command("migrate", verbosity=0)
            fill(given.schedules, given.results)
            print(f"{describe()}; PostgreSQL, {given.schedules:,} schedules, {given.results:,} results")
            pages = ("", f"?p={given.schedules // 20}", "?q=schedule9")
            for query, anew in [(query, anew) for anew in (True, False) for query in pages]:
                found = measure(query, given.times, anew=anew)
                times = f"{found['median']:.2f} s (most {found['most']:.2f} s, first {found['first']:.2f} s)"
                print(
                    f"{query or 'first page':<14} {'anew' if anew else 'again':<5} {times}, "
                    f"{found['queries']} queries in {found['in_queries']:.2f} s, {found['bytes'] / 1000:.0f} kB",
                    flush=True,
                )
                if given.verbose:
                    print("\n".join(found["slowest"]))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
