"""Schedules for beats under test, the messages that they sent, and the check that no due time is missing."""

import contextlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kombu import Connection

from tests.processes import Process, Project, wait_for
from tests.servers import RabbitMQ, Valkey

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
for number, row in enumerate(PeriodicTask.objects.order_by("pk")):
    ManagedSchedule.objects.create(name=row.name, fingerprint="", applied_at=now, misfire={misfires}[number % 2])
"""
LAST = """
import json
from django_celery_beat.models import PeriodicTask
from maintenance.models import Dispatch
rows = {row.name: [row.interval and row.interval.every, row.last_run_at.isoformat(), row.total_run_count]
        for row in PeriodicTask.objects.all()}
left = [[json.loads(row.message)["options"]["headers"], row.task_id] for row in Dispatch.objects.all()]
print(json.dumps([rows, left]))
"""


@dataclass(frozen=True)
class Message:
    """What was sent for a due time; ``missed`` earlier ones are said to be in it."""

    name: str
    due: datetime
    task_id: str
    missed: int

    @classmethod
    def of(cls, headers: dict[str, Any], task_id: str) -> "Message":
        due = datetime.fromisoformat(headers["maintenance_due"])
        return cls(headers["periodic_task_name"], due, task_id, headers.get("maintenance_missed", 0))


def schedule(project: Project, *, number: int, slowest: int, misfires: tuple[str, str] = ("all", "all")) -> None:
    """Make ``number`` schedules of 1 to ``slowest`` seconds and a minutely one; their policies alternate."""
    project.python(SCHEDULES.format(number=number, slowest=slowest, misfires=misfires))


def start(project: Project, number: int, **env: str) -> list[Process]:
    """Start several beats and wait until each knows who leads."""
    beats = [project.start("run_beat", **env) for _ in range(number)]
    for beat in beats:
        beat.wait_for_line(r"(Leading as|Standing by)", seconds=60)
    return beats


def stop(beats: list[Process]) -> None:
    for beat in beats:
        assert beat.terminate(seconds=30) == 0, beat.output


def leader(beats: list[Process]) -> Process:
    """Return the beat that said last, by its log, that it leads."""

    def found() -> Process | None:
        for beat in beats:
            lines = [line for line in beat.output.splitlines() if "Leading as" in line or "Standing by" in line]
            if beat.popen.poll() is None and lines and "Leading as" in lines[-1]:
                return beat
        return None

    process = wait_for(found, seconds=60, about="a leader")
    assert process is not None
    return process


def messages(broker: Valkey | RabbitMQ) -> list[Message]:
    """Return what lies in the queue, and leave it there."""
    if isinstance(broker, RabbitMQ):
        return list(_on_rabbitmq(broker))
    import redis

    with contextlib.closing(redis.Redis.from_url(broker.url)) as client:
        headers = [json.loads(raw)["headers"] for raw in client.lrange("default", 0, -1)]
    return [Message.of(each, each["id"]) for each in headers]


def _on_rabbitmq(broker: RabbitMQ) -> list[Message]:
    found = []
    with Connection(broker.url) as connection:
        channel: Any = connection.default_channel
        channel.queue_declare("default", durable=True, auto_delete=False)
        while (message := channel.basic_get("default")) is not None:
            found.append(Message.of(message.headers, message.headers["id"]))
    return found


def check(project: Project, found: list[Message], *, repeats: int) -> None:
    """Assert that each due time up to the last recorded was sent, or counted as missed, and that each has one id."""
    rows, left = json.loads(project.python(LAST))
    # What was recorded when the last beat was stopped is the next one's to send.
    found = found + [Message.of(headers, task_id) for headers, task_id in left]
    ids: dict[tuple[str, datetime], set[str]] = {}
    for message in found:
        ids.setdefault((message.name, message.due), set()).add(message.task_id)
    assert [key for key, several in ids.items() if len(several) > 1] == []
    assert sum(Counter(message.task_id for message in found).values()) - len(ids) <= repeats
    for name, (every, last, runs) in rows.items():
        sent = sorted({(message.due, message.missed) for message in found if message.name == name})
        if name == "minutely" and not sent:
            assert runs == 0, "no minute began while it ran"
            continue
        step = timedelta(seconds=every or 60)
        for (before, _), (due, missed) in itertools.pairwise(sent):
            assert due - before == step * (missed + 1), f"{name} lost a due time before {due}"
        assert (sent[-1][0], len(sent)) == (datetime.fromisoformat(last), runs), name
