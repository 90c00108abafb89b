"""manage.py sync_schedules"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.schedules import crontab, schedule
from django.core.management import call_command
from django.core.management.color import color_style
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from kombu import Queue

from maintenance.management.schedules import painted
from maintenance.models import ManagedSchedule
from maintenance.schedules.spellings import USABLE
from tests.celery import app
from tests.conftest import Outcome

Run = Callable[..., Outcome]
TASK = "celery.accumulate"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def declare() -> Iterator[Callable[..., None]]:
    before = {name: app.conf[name] for name in ("beat_schedule", "task_queues")}
    app.conf.task_queues = [Queue("heavy")]

    def declarer(**entries: Any) -> None:
        app.conf.beat_schedule = entries

    yield declarer
    app.conf.update(before)


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
- goes: left the settings, disabled
! taken: a schedule of this name that is not ours is left alone (schedule every 30s -> every 1m). \
Pass --adopt to take it over, or rename the entry.
"""
WOULD = LINES.replace("disabled", "to disable")
TAKEN = {"name": "taken", "kind": "unmanaged", "changes": {"schedule": ["every 30s", "every 1m"]}}


def test_it_applies_its_plan_and_then_has_nothing_to_do(changing: None, run: Run) -> None:
    assert run("sync_schedules") == (
        LINES + "Created 1, updated 1, disabled 1, deleted 0; 1 unchanged, 1 in conflict, 1 not ours.\n",
        "",
        0,
    )
    assert dict(PeriodicTask.objects.values_list("name", "enabled")) == {
        "comes": True, "changes": True, "stays": True, "goes": False, "taken": True, "theirs": True,
    }  # fmt: skip
    conflict = LINES.splitlines()[-1]
    assert run("sync_schedules", "--noinput") == (
        f"{conflict}\nCreated 0, updated 0, disabled 0, deleted 0; 3 unchanged, 1 in conflict, 1 not ours.\n",
        "",
        0,
    )


def test_a_dry_run_writes_nothing(changing: None, run: Run) -> None:
    before = (list(PeriodicTask.objects.values()), list(ManagedSchedule.objects.values()))
    assert run("sync_schedules", "--dry-run") == (
        WOULD + "Would create 1, update 1, disable 1, delete 0; 1 unchanged, 1 in conflict, 1 not ours.\n",
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


def test_check_ends_with_3_while_something_would_change(changing: None, run: Run) -> None:
    before = (list(PeriodicTask.objects.values()), list(ManagedSchedule.objects.values()))
    assert run("sync_schedules", "--check") == (
        WOULD + "Would create 1, update 1, disable 1, delete 0; 1 unchanged, 1 in conflict, 1 not ours.\n",
        "",
        3,
    )
    assert (list(PeriodicTask.objects.values()), list(ManagedSchedule.objects.values())) == before
    run("sync_schedules")
    out, err, code = run("sync_schedules", "--check", "--json")
    assert ([each["name"] for each in json.loads(out)["conflicts"]], err, code) == (["taken"], "", 0)


def test_adopt_takes_the_row_over(changing: None, run: Run) -> None:
    assert run("sync_schedules", "--adopt", "--only", "taken") == (
        "~ taken: adopted, schedule every 30s -> every 1m\n"
        "Created 0, updated 1, disabled 0, deleted 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert PeriodicTask.objects.get(name="taken").interval == IntervalSchedule.objects.get(every=60)


def test_conflicts_can_be_errors(changing: None, run: Run) -> None:
    before = list(PeriodicTask.objects.values())
    assert run("sync_schedules", "--on-conflict=error") == (
        "",
        f"CommandError: 1 schedule is in conflict; nothing was written.\n{LINES.splitlines()[-1]}\n",
        1,
    )
    assert list(PeriodicTask.objects.values()) == before


def test_an_edit_by_hand_is_kept_or_overwritten(declare: Callable[..., None], run: Run) -> None:
    declare(it={"task": TASK, "schedule": 30})
    run("sync_schedules")
    PeriodicTask.objects.update(queue="heavy")
    assert run("sync_schedules") == (
        "! it: it was edited by hand, and the edit is kept (queue heavy -> none). "
        "Pass --on-conflict code to overwrite it, or write the edit into the settings.\n"
        "Created 0, updated 0, disabled 0, deleted 0; 0 unchanged, 1 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert run("sync_schedules", "--on-conflict=code") == (
        "~ it: queue heavy -> none\n"
        "Created 0, updated 1, disabled 0, deleted 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert PeriodicTask.objects.get().queue is None


def test_deleting_asks_first(declare: Callable[..., None], run: Run) -> None:
    declare(it={"task": TASK, "schedule": 30})
    run("sync_schedules")
    declare()
    assert run("sync_schedules", "--prune=keep") == (
        "Created 0, updated 0, disabled 0, deleted 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert run("sync_schedules", "--prune=delete") == (
        "",
        "- it: left the settings, to delete\n"
        "Would create 0, update 0, disable 0, delete 1; 0 unchanged, 0 in conflict, 0 not ours.\n"
        "CommandError: Not confirmed: nothing was changed. Answer y, or pass --noinput where nobody can answer.\n",
        4,
    )
    assert PeriodicTask.objects.exists()
    assert run("sync_schedules", "--prune=delete", "--noinput") == (
        "- it: left the settings, deleted\n"
        "Created 0, updated 0, disabled 0, deleted 1; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert not PeriodicTask.objects.exists()


def test_only_the_named_entries_count_wrong_ones_too(declare: Callable[..., None], run: Run) -> None:
    declare(**WRONG, good={"task": TASK, "schedule": 5}, other={"task": TASK, "schedule": 5})
    assert run("sync_schedules", "--only", "good") == (
        "+ good: celery.accumulate, every 5s\n"
        "Created 1, updated 0, disabled 0, deleted 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert run("sync_schedules", "--only", "goods") == (
        "",
        "CommandError: No schedule is named 'goods'. Did you mean 'good'?\n",
        2,
    )


def test_the_maintenance_settings_are_read(declare: Callable[..., None], run: Run, settings: Any) -> None:
    declare(it={"task": TASK, "schedule": "30 7 * * 1"})
    settings.MAINTENANCE = {"SCHEDULES": {"it": {"misfire": "all:5", "timezone": "Asia/Tokyo", "enabled": False}}}
    assert run("sync_schedules") == (
        "+ it: celery.accumulate, crontab 30 7 * * 1 Asia/Tokyo\n"
        "Created 1, updated 0, disabled 0, deleted 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "",
        0,
    )
    assert (ManagedSchedule.objects.get().misfire, PeriodicTask.objects.get().enabled) == ("all:5", False)
    settings.MAINTENANCE = {"SCHEDULES": {"it": {"misfires": "all"}}}
    assert run("sync_schedules") == (
        "",
        "CommandError: Unknown key 'MISFIRES' in MAINTENANCE[\"SCHEDULES\"][\"it\"]. Did you mean 'MISFIRE'?\n",
        2,
    )


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


BAD_INPUT = {
    "without a task": {"schedule": 5},
    "without a schedule": {"task": TASK, "schedule": None},
    "args as text": {"task": TASK, "schedule": 5, "args": "ab"},
    "kwargs as a list": {"task": TASK, "schedule": 5, "kwargs": ["a"]},
    "a class of its own": {"task": TASK, "schedule": type("Lunar", (schedule,), {})(5)},
}
ALL_REFUSED = f"""\
CommandError: 5 entries of the beat schedule cannot be used; nothing was written.
? without a task: its task is None. Write a name.
? without a schedule: its schedule is a NoneType. {USABLE}
? args as text: its args are a str. Write a list or tuple.
? kwargs as a list: its kwargs are a list. Write a dict.
? a class of its own: its schedule is a Lunar. {USABLE}
"""


def test_all_bad_input_is_told_at_once_and_nothing_is_written(declare: Callable[..., None], run: Run) -> None:
    declare(**BAD_INPUT, good={"task": TASK, "schedule": 5})
    assert run("sync_schedules") == ("", ALL_REFUSED, 1)
    assert not PeriodicTask.objects.exists()
    assert not IntervalSchedule.objects.exists()
    assert not ManagedSchedule.objects.exists()


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


def test_an_option_that_celery_does_not_know_is_told(declare: Callable[..., None], run: Run) -> None:
    declare(it={"task": TASK, "schedule": 5, "options": {"time_limt": 9}})
    assert run("sync_schedules") == (
        "+ it: celery.accumulate, every 5s\n"
        "Created 1, updated 0, disabled 0, deleted 0; 0 unchanged, 0 in conflict, 0 not ours.\n",
        "Warning: it: Celery knows no send option 'time_limt'. It is sent as it is; check its spelling.\n",
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


@pytest.mark.parametrize(
    ("line", "style"),
    [("+ a: x", "SUCCESS"), ("~ a: y", "WARNING"), ("- a: z", "ERROR"), ("! a: c", "NOTICE"), ("Created 1", "")],
)
def test_a_line_of_a_plan_has_the_colour_of_its_sign(line: str, style: str) -> None:
    colours = color_style(force_color=True)
    assert painted(line, colours) == (getattr(colours, style)(line) if style else line)
