"""The recommended schedules: what runs when, and on which queue."""

from celery.schedules import crontab
from kombu import Queue

from maintenance.schedules.pack import pack


def test_heavy_tasks_go_to_their_queue_only_where_it_is_declared() -> None:
    heavy = {"queue": "heavy_tasks", "expires": 3600}
    with_queue = pack((Queue("default"), Queue("heavy_tasks")))
    assert {name: entry["options"] for name, entry in with_queue.items()} == {
        "maintenance.backup": heavy,
        "maintenance.purge_results": heavy,
        "maintenance.clear_sessions": heavy,
        "maintenance.clear_cache": {"expires": 3600},
    }
    for queues in ((), ("celery",), (Queue("heavy_tasks.other"),)):
        assert {frozenset(entry["options"]) for entry in pack(queues).values()} == {frozenset({"expires"})}


def test_each_entry_names_its_task_and_a_quiet_hour() -> None:
    entries = pack(["heavy_tasks"])
    assert {name: entry["task"] for name, entry in entries.items()} == {name: name for name in entries}
    assert [entry["schedule"] for entry in entries.values()] == [
        crontab(hour="2", minute="15"),
        crontab(hour="3", minute="15"),
        crontab(hour="3", minute="45"),
        crontab(hour="4", minute="15", day_of_week="sunday"),
    ]
