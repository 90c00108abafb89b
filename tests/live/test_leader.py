"""Several beats on one database: each due time is sent once, whoever dies. The messages are read from the queue."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.processes import Process, Project, wait_for
from tests.servers import Postgres, Valkey

SCHEDULES = """
from datetime import timedelta
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from maintenance.models import ManagedSchedule
now = timezone.now().replace(microsecond=0) + timedelta(seconds=5)
for number in range({number}):
    every, _ = IntervalSchedule.objects.get_or_create(every=number % {slowest} + 1, period="seconds")
    PeriodicTask.objects.create(name=f"{{number}}", task="tests.live.projects.tasks.mark", args='["x"]', interval=every,
        last_run_at=now)
PeriodicTask.objects.create(name="minutely", task="tests.live.projects.tasks.mark", args='["x"]',
    crontab=CrontabSchedule.objects.create(), last_run_at=now)
for row in PeriodicTask.objects.all():
    ManagedSchedule.objects.create(name=row.name, fingerprint="", applied_at=now, misfire="all")
"""
LAST = """
import json
from django_celery_beat.models import PeriodicTask
from maintenance.models import Dispatch
rows = {row.name: [row.interval and row.interval.every, row.last_run_at.isoformat(), row.total_run_count]
        for row in PeriodicTask.objects.all()}
left = [(row.name, row.due.isoformat(), row.task_id) for row in Dispatch.objects.all()]
print(json.dumps([rows, left]))
"""
Message = tuple[str, datetime, str]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def project(request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    """A project with a lease of 2 s, on each kind of database."""
    env = {"REDIS_URL": valkey.url, "MARKS": str(tmp_path)}
    server = None
    if request.param == "postgres":
        server = Postgres(tmp_path / "postgres")
        server.start()
        env["DATABASE_URL"] = server.url
    made = Project(tmp_path / "project", settings="tests.live.projects.beats", **env)
    made.manage("migrate", "--no-input", "-v", "0")
    yield made
    made.close()
    if server:
        server.stop()


def start(project: Project, number: int) -> list[Process]:
    beats = [project.start("run_beat") for _ in range(number)]
    for beat in beats:
        beat.wait_for_line(r"(Leading as|Standing by)", seconds=60)
    return beats


def leader(beats: list[Process]) -> Process:
    """Return the beat that said last, by its log, that it leads."""

    def found() -> Process | None:
        for beat in beats:
            lines = [line for line in beat.output.splitlines() if "Leading as" in line or "Standing by" in line]
            if beat.popen.poll() is None and lines and "Leading as" in lines[-1]:
                return beat
        return None

    process = wait_for(found, seconds=30, about="a leader")
    assert process is not None
    return process


def messages(valkey: Valkey) -> list[Message]:
    """Return what lies in the queue: schedule, due time, task id."""
    import redis

    with contextlib.closing(redis.Redis.from_url(valkey.url)) as client:
        headers = [json.loads(raw)["headers"] for raw in client.lrange("default", 0, -1)]
    return [(h["periodic_task_name"], datetime.fromisoformat(h["maintenance_due"]), h["id"]) for h in headers]


def check(project: Project, found: list[Message], *, repeats: int) -> None:
    """Assert that no due time up to the recorded last one is missing, and that each has one id."""
    rows, left = json.loads(project.python(LAST))
    # What was recorded when the last beat was stopped is the next one's to send.
    found = found + [(name, datetime.fromisoformat(at), task_id) for name, at, task_id in left]
    ids: dict[tuple[str, datetime], set[str]] = {}
    for name, at, task_id in found:
        ids.setdefault((name, at), set()).add(task_id)
    assert [key for key, several in ids.items() if len(several) > 1] == []
    assert sum(Counter(task_id for _, _, task_id in found).values()) - len(ids) <= repeats
    for name, (every, last, runs) in rows.items():
        dues = sorted(at for who, at in ids if who == name)
        if name == "minutely" and not dues:
            assert runs == 0, "no minute began while it ran"
            continue
        step = timedelta(seconds=every or 60)
        assert dues == [dues[0] + n * step for n in range(len(dues))], f"{name} missed a due time"
        assert (dues[-1], len(dues)) == (datetime.fromisoformat(last), runs)


def stop(beats: list[Process]) -> None:
    for beat in beats:
        assert beat.terminate(seconds=20) == 0


def test_two_beats_send_each_due_time_once(project: Project, valkey: Valkey) -> None:
    project.python(SCHEDULES.format(number=5, slowest=3))
    beats = start(project, 2)
    wait_for(lambda: len(messages(valkey)) > 20, seconds=40)
    assert sum("Leading as" in beat.output for beat in beats) == 1
    stop(beats)
    check(project, messages(valkey), repeats=1)


def test_after_sigterm_another_leads_at_once(project: Project, valkey: Valkey) -> None:
    project.python(SCHEDULES.format(number=3, slowest=1))
    beats = start(project, 2)
    first = leader(beats)
    (second,) = [beat for beat in beats if beat is not first]
    wait_for(lambda: messages(valkey), seconds=30)
    asked = time.monotonic()
    first.send(signal.SIGTERM)
    second.wait_for_line("Leading as", seconds=10)
    assert time.monotonic() - asked < 10, "a hang: on an idle machine it takes less than 1 s"
    assert first.wait() == 0
    before = len(messages(valkey))
    wait_for(lambda: len(messages(valkey)) > before + 6, seconds=20)
    stop([second])
    check(project, messages(valkey), repeats=1)


def killed(project: Project, valkey: Valkey, *, kills: int, number: int) -> None:
    project.python(SCHEDULES.format(number=number, slowest=5))
    beats = start(project, 3)
    for _ in range(kills):
        time.sleep(random.uniform(1.0, 4.0))
        first = leader(beats)
        first.send(signal.SIGKILL)
        died = time.monotonic()
        beats.remove(first)
        leader(beats)
        assert time.monotonic() - died < 15, "a hang: the lease lasts 2 s"
        beats.append(project.start("run_beat"))
        before = len(messages(valkey))
        wait_for(lambda before=before: len(messages(valkey)) > before, seconds=20)  # type: ignore[misc]
    for beat in beats:
        beat.wait_for_line(r"(Leading as|Standing by)", seconds=60)
    time.sleep(3)
    stop(beats)
    check(project, messages(valkey), repeats=50 * kills)


def test_killed_leaders_lose_and_double_nothing(project: Project, valkey: Valkey) -> None:
    killed(project, valkey, kills=3, number=20)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_thirty_killed_leaders_lose_and_double_nothing(project: Project, valkey: Valkey) -> None:
    killed(project, valkey, kills=30, number=20)


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_a_long_write_lock_delays_and_loses_nothing(project: Project, valkey: Valkey, seconds: int) -> None:
    project.python(SCHEDULES.format(number=5, slowest=2))
    beats = start(project, 2)
    wait_for(lambda: messages(valkey), seconds=30)
    with contextlib.closing(sqlite3.connect(project.var / "db.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(1)
        before = len(messages(valkey))
        time.sleep(seconds - 1)
        assert len(messages(valkey)) == before, "nothing is sent that cannot be recorded"
        database.execute("ROLLBACK")
    wait_for(lambda: len(messages(valkey)) > before + 5 * seconds // 2, seconds=20)
    assert all(beat.popen.poll() is None for beat in beats)
    stop(beats)
    # What was sent and could not be marked may be sent again by the other beat, under the same id.
    check(project, messages(valkey), repeats=50)


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_a_broker_that_is_silent_for_a_while_loses_nothing(project: Project, valkey: Valkey, seconds: int) -> None:
    project.python(SCHEDULES.format(number=3, slowest=1))
    beats = start(project, 2)
    wait_for(lambda: messages(valkey), seconds=30)
    before = len(messages(valkey))
    assert valkey.popen is not None
    os.kill(valkey.popen.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(valkey.popen.pid, signal.SIGCONT)
    wait_for(lambda: len(messages(valkey)) > before + 3 * seconds, seconds=30)
    assert all(beat.popen.poll() is None for beat in beats)
    stop(beats)
    # What a silent broker had already taken in is sent again under the same id.
    check(project, messages(valkey), repeats=10)
