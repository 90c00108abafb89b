"""Beat: messages sent a second from overdue intervals, ours against DatabaseScheduler and a bare apply_async loop.

Targets with 2,000 and 10,000 intervals: 5x and 20x DatabaseScheduler, or 0.6x of the loop, whichever is less.
Each contender runs in a process of its own on a private Valkey and SQLite; DatabaseScheduler for --seconds at most.
CPU of an idle beat with 10,000 daily schedules: target 1 % of a core. Lateness with 10,000 schedules of 60 s (167 a
second), on SQLite and PostgreSQL: the 99th percentile is to be under 1 s. A row that is edited among them is to be live
within 5 s.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import redis

from benchmarks.machine import describe
from tests.processes import Project, wait_for
from tests.servers import Postgres, Valkey

ROWS = """
from datetime import timedelta
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
PeriodicTask.objects.all()._raw_delete("default")
now = timezone.now()
kind = {{"interval": IntervalSchedule.objects.get_or_create(every=3600, period="seconds")[0]}}
if {daily}:
    kind = {{"crontab": CrontabSchedule.objects.get_or_create(minute="7", hour=str((now.hour + 12) % 24))[0]}}
PeriodicTask.objects.bulk_create([
    PeriodicTask(name=f"task {{n}}", task="opsproject.celery.debug_task",
        last_run_at=now - timedelta(seconds=0 if {daily} else 3601), **kind)
    for n in range({number})
])
PeriodicTasks.update_changed()
"""
LOOP = """
import time
from opsproject.celery import app, debug_task
with app.producer_pool.acquire(block=True) as producer:
    debug_task.apply_async(producer=producer)
    began = time.perf_counter()
    for _ in range(2000):
        debug_task.apply_async(producer=producer, headers={"periodic_task_name": "task"})
    print(2000 / (time.perf_counter() - began))
"""
# Sent per second from the first message to the last, so that reading the tables is apart.
BEAT = """
import json, logging, time
from celery import signals
from kombu.utils import symbol_by_name
from opsproject.celery import app
logging.disable(logging.INFO)
app.finalize()
app.conf.beat_schedule = {{}}
app.conf.result_expires = None
count, first, last = 0, 0.0, 0.0
def sent(**kwargs):
    global count, first, last
    last = time.perf_counter()
    first = first or last
    count += 1
signals.after_task_publish.connect(sent)
began = time.perf_counter()
scheduler = symbol_by_name("{scheduler}")(app=app)
while count < {number} and time.perf_counter() - began < {seconds}:
    scheduler.tick()
scheduler.close()
print(json.dumps([count, (count - 1) / (last - first), first - began]))
"""
IDLE = """
import json, logging, resource, time
from kombu.utils import symbol_by_name
from opsproject.celery import app
logging.disable(logging.INFO)
app.finalize()
app.conf.beat_schedule = {{}}
app.conf.result_expires = None
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
scheduler = symbol_by_name("{scheduler}")(app=app)
for _ in range(3):
    scheduler.tick()
began, before = time.perf_counter(), cpu()
while time.perf_counter() - began < {seconds}:
    time.sleep(max(0, scheduler.tick()))
print(json.dumps((cpu() - before) / (time.perf_counter() - began)))
"""
# Spread over the minute. How late each message is handed to the broker, once it has caught up after reading all rows.
STEADY = """
from datetime import timedelta
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks
PeriodicTask.objects.all()._raw_delete("default")
now = timezone.now()
minute = IntervalSchedule.objects.get_or_create(every=60, period="seconds")[0]
PeriodicTask.objects.bulk_create([
    PeriodicTask(name=f"task {{n}}", task="opsproject.celery.debug_task", interval=minute,
        last_run_at=now - timedelta(seconds=60 * n / {number}))
    for n in range({number})
])
PeriodicTasks.update_changed()
"""
LATENESS = """
import json, logging, resource, statistics, time
from datetime import UTC, datetime
from celery import signals
from kombu.utils import symbol_by_name
from opsproject.celery import app
logging.disable(logging.INFO)
app.finalize()
app.conf.beat_schedule = {{}}
app.conf.result_expires = None
late = []
def sent(headers=None, **kwargs):
    late.append((datetime.now(UTC) - datetime.fromisoformat(headers["maintenance_due"])).total_seconds())
signals.after_task_publish.connect(sent)
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
scheduler = symbol_by_name("{scheduler}")(app=app)
began = time.perf_counter()
def run(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        time.sleep(max(0, scheduler.tick()))
run(5)
while late[-1] > 0.2 and time.perf_counter() - began < 120:
    run(1)
late.clear()
before = cpu()
run({seconds})
used = (cpu() - before) / {seconds}
scheduler.close()
cuts = statistics.quantiles(late, n=100)
print(json.dumps([len(late) / {seconds}, cuts[49], cuts[98], max(late), used]))
"""
CHANGE = """
import time
from django_celery_beat.models import IntervalSchedule, PeriodicTask
row = PeriodicTask.objects.get(name="task 0")
row.interval = IntervalSchedule.objects.get_or_create(every=1, period="seconds")[0]
row.queue = "heavy_tasks"
row.save()
print(time.time())
"""
OURS, THEIRS = "maintenance.beat:Scheduler", "django_celery_beat.schedulers:DatabaseScheduler"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, nargs="*", default=[2000, 10_000])
    parser.add_argument("--seconds", type=float, default=60, help="the most that one contender may take")
    parser.add_argument("--idle", type=float, default=60, help="seconds of idling; 0 leaves it out")
    parser.add_argument("--steady", type=float, default=60, help="seconds of 167 messages each; 0 leaves them out")
    given = parser.parse_args()
    print(f"{describe()}; private Valkey, SQLite")
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder) / "valkey")
        valkey.start()
        project = Project(Path(folder) / "project", REDIS_URL=valkey.url)
        try:
            project.manage("migrate", "--no-input", "-v", "0")
            for number in given.numbers:
                overdue(project, number, given.seconds)
            if given.idle:
                idle(project, given.idle)
            if given.steady:
                steady(project, valkey, given.steady, "SQLite")
                on_postgresql(Path(folder), valkey, given.steady)
        finally:
            project.close()
            valkey.stop()


def on_postgresql(folder: Path, valkey: Valkey, seconds: float) -> None:
    """Print the lateness on a private PostgreSQL."""
    postgres = Postgres(folder / "postgres")
    postgres.start()
    project = Project(folder / "on-postgres", REDIS_URL=valkey.url, DATABASE_URL=postgres.url)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        steady(project, valkey, seconds, "PostgreSQL")
    finally:
        project.close()
        postgres.stop()


def overdue(project: Project, number: int, seconds: float) -> None:
    """Print what each contender sends of ``number`` overdue intervals."""
    rates = {}
    for name, scheduler in (("ours", OURS), ("DatabaseScheduler", THEIRS)):
        project.python(ROWS.format(number=number, daily=False))
        count, rates[name], start = json.loads(
            project.python(BEAT.format(scheduler=scheduler, number=number, seconds=seconds), seconds=600)
        )
        print(f"{number:>6} overdue  {name:<18} {rates[name]:7.0f}/s  ({count} sent, first after {start:.1f} s)")
    loop = float(project.python(LOOP))
    ratio, share = rates["ours"] / rates["DatabaseScheduler"], rates["ours"] / loop
    print(
        f"{'':>6}          {'bare loop':<18} {loop:7.0f}/s  ours: {ratio:.1f}x DatabaseScheduler, {share:.2f}x the loop"
    )


def idle(project: Project, seconds: float) -> None:
    """Print the CPU of an idle beat with 10,000 daily schedules."""
    project.python(ROWS.format(number=10_000, daily=True))
    for name, scheduler in (("ours", OURS), ("DatabaseScheduler", THEIRS)):
        used = json.loads(project.python(IDLE.format(scheduler=scheduler, seconds=seconds), seconds=600))
        print(f"idle, 10,000 daily  {name:<18} {used:.2%} of a core")


def steady(project: Project, valkey: Valkey, seconds: float, database: str) -> None:
    """Print how late 10,000 schedules of a minute are, and how soon a change of one of them is live."""
    project.python(STEADY.format(number=10_000), seconds=600)
    rate, median, p99, worst, used = json.loads(
        project.python(LATENESS.format(scheduler=OURS, seconds=seconds), seconds=600)
    )
    print(
        f"steady, 10,000 a minute, {database}: {rate:.0f}/s, late by {median * 1000:.0f} ms (median), "
        f"{p99 * 1000:.0f} ms (99 %), {worst * 1000:.0f} ms (most), {used:.0%} of a core"
    )
    project.python(STEADY.format(number=10_000), seconds=600)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushdb()
        beat = project.start("run_beat", "-l", "WARNING")
        # By then it has caught up with what became due before it began.
        wait_for(lambda: int(client.llen("default")) > 5000, seconds=120, about="beat to send")
        changed_at = float(project.python(CHANGE))
        wait_for(lambda: client.llen("heavy_tasks"), seconds=60, every=0.02, about="the changed row to be sent")
        print(f"a changed row, {database}: sent {time.time() - changed_at:.1f} s later")
        client.flushdb()
    beat.terminate()


if __name__ == "__main__":
    main()
