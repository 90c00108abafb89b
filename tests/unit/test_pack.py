"""The recommended schedules: what runs when, and on which queue."""

from celery.schedules import crontab
from kombu import Queue

from maintenance.schedules import MAINTENANCE_SCHEDULE
from maintenance.schedules.pack import pack

HEAVY = {"queue": "heavy_tasks", "expires": 3600}


def test_heavy_tasks_go_to_their_queue_only_where_it_is_declared() -> None:
    with_queue = pack((Queue("default"), Queue("heavy_tasks")))
    assert {name: entry["options"] for name, entry in with_queue.items()} == {
        "maintenance.backup": HEAVY,
        "maintenance.purge_results": HEAVY,
        "maintenance.clear_sessions": HEAVY,
        "maintenance.cull_caches": {"expires": 3600},
        "maintenance.clear_files": HEAVY,
        "maintenance.verify_backup": HEAVY,
        "maintenance.monitor": {"expires": 240},
    }
    for queues in ((), ("celery",), (Queue("heavy_tasks.other"),)):
        assert {frozenset(entry["options"]) for entry in pack(queues).values()} == {frozenset({"expires"})}


def test_each_entry_names_its_task_and_a_quiet_hour() -> None:
    assert {name: entry["task"] for name, entry in MAINTENANCE_SCHEDULE.items() if entry["task"] != name} == {
        "maintenance.cull_caches": "maintenance.clear_cache"
    }
    assert MAINTENANCE_SCHEDULE["maintenance.cull_caches"]["kwargs"] == {"expired": True}
    assert [entry["schedule"] for entry in MAINTENANCE_SCHEDULE.values()] == [
        crontab(hour="2", minute="15"),
        crontab(hour="3", minute="15"),
        crontab(hour="3", minute="45"),
        crontab(hour="4", minute="15"),
        crontab(hour="4", minute="45"),
        crontab(hour="5", minute="15", day_of_week="sun"),
        crontab(minute="*/5"),
    ]


def test_the_ready_dict_is_the_pack_with_its_queue() -> None:
    assert pack(["heavy_tasks"]) == MAINTENANCE_SCHEDULE
