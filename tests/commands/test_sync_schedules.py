"""manage.py sync_schedules"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.schedules import crontab
from django.core.management import call_command
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.models import ManagedSchedule
from tests.celery import app
from tests.conftest import Outcome

Run = Callable[..., Outcome]
TASK = "celery.accumulate"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def declare() -> Iterator[Callable[..., None]]:
    before = app.conf.beat_schedule

    def declarer(**entries: Any) -> None:
        app.conf.beat_schedule = entries

    yield declarer
    app.conf.beat_schedule = before


@pytest.fixture
def changing(declare: Callable[..., None], run: Run) -> None:
    """One entry of each fate: new, changed, gone, in conflict, unchanged, and somebody else's."""
    kept: dict[str, Any] = {"task": TASK, "schedule": 30.0}
    declare(changes=kept, stays=kept, goes=kept)
    run("sync_schedules")
    taken = {"task": TASK, "interval": IntervalSchedule.objects.get()}
    PeriodicTask.objects.create(name="taken", **taken)
    PeriodicTask.objects.create(name="theirs", **taken)
    declare(
        comes={"task": TASK, "schedule": crontab(hour=3, minute=15)},
        changes={"task": TASK, "schedule": 60, "options": {"queue": "heavy"}},
        stays=kept,
        taken={"task": TASK, "schedule": 60},
    )


LINES = """\
+ comes: celery.accumulate, crontab 15 3 * * * America/Chicago
~ changes: schedule every 30s -> every 1m, queue none -> heavy
- goes: left the settings
! taken: a schedule of this name that is not ours is left alone (schedule every 30s -> every 1m). \
Rename the entry, or delete the schedule in the admin and sync again.
"""
TAKEN = {"name": "taken", "kind": "unmanaged", "changes": {"schedule": ["every 30s", "every 1m"]}}


def test_it_applies_its_plan_and_then_has_nothing_to_do(changing: None, run: Run) -> None:
    assert run("sync_schedules") == (
        LINES + "Created 1, updated 1, disabled 1; 1 unchanged, 1 in conflict, 1 not ours.\n",
        "",
        0,
    )
    assert dict(PeriodicTask.objects.values_list("name", "enabled")) == {
        "comes": True, "changes": True, "stays": True, "goes": False, "taken": True, "theirs": True,
    }  # fmt: skip
    conflict = LINES.splitlines()[-1]
    assert run("sync_schedules", "--noinput") == (
        f"{conflict}\nCreated 0, updated 0, disabled 0; 3 unchanged, 1 in conflict, 1 not ours.\n",
        "",
        0,
    )


def test_a_dry_run_writes_nothing(changing: None, run: Run) -> None:
    before = (list(PeriodicTask.objects.values()), list(ManagedSchedule.objects.values()))
    assert run("sync_schedules", "--dry-run") == (
        LINES + "Would create 1, update 1, disable 1; 1 unchanged, 1 in conflict, 1 not ours.\n",
        "",
        0,
    )
    assert (list(PeriodicTask.objects.values()), list(ManagedSchedule.objects.values())) == before


def test_json_is_one_document(changing: None, run: Run) -> None:
    out, err, code = run("sync_schedules", "--json")
    assert (list(json.loads(out).items()), err, code) == (
        list(
            {
                "schema_version": 1,
                "create": [{"name": "comes", "task": TASK, "schedule": "crontab 15 3 * * * America/Chicago"}],
                "update": [
                    {
                        "name": "changes",
                        "changes": {"schedule": ["every 30s", "every 1m"], "queue": [None, "heavy"]},
                    }
                ],
                "disable": [{"name": "goes"}],
                "delete": [],
                "unchanged": 1,
                "conflicts": [TAKEN],
                "foreign": [{"name": "theirs"}],
                "errors": [],
                "warnings": [],
            }.items()
        ),
        "",
        0,
    )
    assert PeriodicTask.objects.filter(name="comes").exists()


WRONG = {"typo": {"task": "celery.acumulate", "schedule": 5}, "never": {"task": TASK, "schedule": 0}}
REFUSED = """\
CommandError: 2 entries of the beat schedule cannot be used; nothing was written.
? typo: no task is named 'celery.acumulate'. Did you mean 'celery.accumulate'?
? never: its interval 0 is not longer than 0. Write a positive number of seconds: it would never rest.
"""


def test_every_wrong_entry_is_named_and_nothing_is_written(declare: Callable[..., None], run: Run) -> None:
    declare(**WRONG, good={"task": TASK, "schedule": 5})
    assert run("sync_schedules") == ("", REFUSED, 1)
    assert not PeriodicTask.objects.exists()


def test_the_document_is_printed_with_errors_too(declare: Callable[..., None], run: Run) -> None:
    declare(**WRONG)
    out, err, code = run("sync_schedules", "--json")
    assert (json.loads(out)["errors"], json.loads(out)["create"], err, code) == (
        [
            {
                "name": "typo",
                "problem": "no task is named 'celery.acumulate'",
                "cure": "Did you mean 'celery.accumulate'?",
            },
            {
                "name": "never",
                "problem": "its interval 0 is not longer than 0",
                "cure": "Write a positive number of seconds: it would never rest.",
            },
        ],
        [],
        REFUSED,
        1,
    )


def test_an_option_that_beat_will_lose_is_told(declare: Callable[..., None], run: Run) -> None:
    declare(it={"task": TASK, "schedule": 5, "options": {"time_limit": 9}})
    assert run("sync_schedules") == (
        "+ it: celery.accumulate, every 5s\n"
        "Created 1, updated 0, disabled 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "Warning: it: beat will not send its option 'time_limit'. The tables have no column for it.\n",
        0,
    )


def test_without_django_celery_beat_it_names_the_line_to_add(run: Run, settings: Any) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_celery_beat"]
    assert run("sync_schedules") == (
        "",
        "CommandError: This needs 'django_celery_beat', which is not installed in this project. "
        'Run `pip install django-celery-beat` and add "django_celery_beat" to INSTALLED_APPS, '
        "then run `manage.py migrate`.\n",
        2,
    )


def test_an_unknown_database_and_app(run: Run) -> None:
    assert run("sync_schedules", "--database=other") == (
        "",
        "CommandError: argument --database: invalid choice: 'other' (choose from 'default').\n",
        2,
    )
    assert run("sync_schedules", "-A", "nowhere") == (
        "",
        "CommandError: No Celery app was found (nowhere: No module named 'nowhere'). "
        'Pass -A package, or set MAINTENANCE["WORKER"]["APP"] = "package".\n',
        2,
    )


@pytest.mark.django_db(transaction=True)
def test_without_tables_it_says_migrate(declare: Callable[..., None], run: Run) -> None:
    declare(it={"task": TASK, "schedule": 5})
    call_command("migrate", "maintenance", "zero", verbosity=0)
    try:
        out, err, code = run("sync_schedules")
    finally:
        call_command("migrate", "maintenance", verbosity=0)
    assert (out, code) == ("", 69 if connection.vendor == "sqlite" else 1)
    assert err.endswith("run `manage.py migrate`.\n")
    assert not PeriodicTask.objects.exists()
