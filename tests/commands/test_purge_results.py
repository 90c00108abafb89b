"""purge_results, through its door."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import modify_settings
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _two_results_and_a_group() -> None:
    now = timezone.now()
    for name, age in (("old", timedelta(days=7, seconds=5)), ("new", timedelta(days=7, seconds=-60))):
        TaskResult.objects.create(task_id=name, status="SUCCESS")
        TaskResult.objects.filter(task_id=name).update(date_done=now - age)
    GroupResult.objects.create(group_id="group")
    GroupResult.objects.update(date_done=now - timedelta(days=8))


def left() -> list[str]:
    tasks = TaskResult.objects.order_by("task_id").values_list("task_id", flat=True)
    return [*tasks, *GroupResult.objects.values_list("group_id", flat=True)]


def test_what_is_older_goes(run: Run) -> None:
    out = "Deleted 1 task result and 1 group result older than 7d (--older-than) in 2 batches.\nBy status: 1 SUCCESS.\n"
    assert run("purge_results", "--older-than=7d", "--noinput") == (out, "", 0)
    assert left() == ["new"]
    out = "Deleted 1 task result and 0 group results older than 0s (--older-than) in 1 batch.\nBy status: 1 SUCCESS.\n"
    assert run("purge_results", "--older-than=0") == (out, "", 0)
    assert left() == []


def test_batches_are_bounded(run: Run) -> None:
    out = (
        "Deleted 2 task results and 1 group result older than 1d (--older-than) in 3 batches.\nBy status: 2 SUCCESS.\n"
    )
    assert run("purge_results", "--older-than=1d", "--batch-size=1") == (out, "", 0)


def test_a_dry_run_deletes_nothing(run: Run) -> None:
    out = (
        "Would delete 1 task result and 1 group result older than 7d (the default), in about 1s.\n"
        "By status: 1 SUCCESS.\n"
        "  (no name): 1 SUCCESS\n"
    )
    assert run("purge_results", "--dry-run") == (out, "", 0)
    assert left() == ["new", "old", "group"]


@pytest.mark.parametrize(
    ("maintenance", "expires", "source", "deleted"),
    [
        ({}, {}, "the default", 1),
        ({}, {"CELERY_RESULT_EXPIRES": timedelta(days=30)}, "CELERY_RESULT_EXPIRES", 0),
        ({}, {"CELERY_RESULT_EXPIRES": 3600}, "CELERY_RESULT_EXPIRES", 2),
        ({"KEEP_FOR": "1h"}, {"CELERY_RESULT_EXPIRES": None}, 'MAINTENANCE["RESULTS"]["KEEP_FOR"]', 2),
    ],
)
def test_settings_say_what_is_kept(
    run: Run, settings: Any, maintenance: Any, expires: dict[str, Any], source: str, deleted: int
) -> None:
    settings.MAINTENANCE = {"RESULTS": maintenance}
    for name, value in expires.items():
        setattr(settings, name, value)
    out, err, code = run("purge_results", "--json")
    document = json.loads(out)
    assert (document["kept_by"], document["task_results"], err, code) == (source, deleted, "", 0)


@pytest.mark.parametrize("expires", [0, None])
def test_for_ever_deletes_nothing_and_says_so(run: Run, settings: Any, expires: Any) -> None:
    settings.CELERY_RESULT_EXPIRES = expires
    out = "Nothing deleted: CELERY_RESULT_EXPIRES keeps results for ever. Pass --older-than 7d to delete old ones.\n"
    assert run("purge_results") == (out, "", 0)
    assert left() == ["new", "old", "group"]


def test_the_document(run: Run) -> None:
    with time_machine.travel("2026-01-09T12:00:00Z", tick=False):
        TaskResult.objects.update(date_done="2026-01-01T00:00:00Z")
        out, err, code = run("purge_results", "--json", "--older-than=7d")
    assert (err, code) == ("", 0)
    document = json.loads(out)
    assert document.pop("seconds") >= 0
    assert list(document.items()) == [
        ("schema_version", 1),
        ("dry_run", False),
        ("before", "2026-01-02T12:00:00+00:00"),
        ("failed_before", "2026-01-02T12:00:00+00:00"),
        ("stuck_before", None),
        ("kept_by", "--older-than"),
        ("deleted", 2),
        ("by_status", {"SUCCESS": 2}),
        ("group_results", 0),
        ("chord_counters", 0),
        ("stuck", {}),
        ("batches", 1),
        ("stopped", None),
        ("task_results", 2),
        ("complete", True),
        ("archive", None),
        ("won_back_bytes", None),
    ]


@pytest.mark.parametrize(
    ("flag", "err"),
    [
        ("--older-than=nonsense", "argument --older-than: 'nonsense' is not a duration such as 30s, 5m, 2h or 7d."),
        ("--older-than=-7d", "argument --older-than: '-7d' is not a duration such as 30s, 5m, 2h or 7d."),
    ],
)
def test_nonsense_is_refused(run: Run, flag: str, err: str) -> None:
    assert run("purge_results", flag) == ("", f"CommandError: {err}\n", 2)
    assert left() == ["new", "old", "group"]


@pytest.mark.parametrize("size", ["0", "-1", "many", "1.5"])
def test_an_impossible_batch_is_refused(run: Run, size: str) -> None:
    out, err, code = run("purge_results", f"--batch-size={size}")
    assert (out, code) == ("", 2)
    assert err == f"CommandError: argument --batch-size: '{size}' is not a whole number from 1 up.\n"


def test_an_age_before_the_calendar_is_only_very_old(run: Run) -> None:
    out, _, code = run("purge_results", "--older-than=999999d", "--json")
    assert (json.loads(out)["before"], code) == ("1970-01-01T00:00:00+00:00", 0)
    assert left() == ["new", "old", "group"]


def test_without_the_app_the_line_to_add_is_named(run: Run) -> None:
    err = (
        "CommandError: This needs 'django_celery_results', which is not installed in this project. "
        'Run `pip install django-celery-results` and add "django_celery_results" to INSTALLED_APPS, '
        "then run `manage.py migrate`.\n"
    )
    with modify_settings(INSTALLED_APPS={"remove": ["django_celery_results"]}):
        assert run("purge_results") == ("", err, 2)
