"""The system checks: what each finds, and that it is silent on the good side of its boundary."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.schedules import crontab
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, run_checks
from kombu import Queue

from maintenance import conf, project
from maintenance.errors import CeleryAppMissing
from maintenance.health.rules import Facts, results
from maintenance.health.rules.results import Deleting
from tests.celery import app

TASK = "celery.accumulate"
LIMIT = "CELERY_TASK_TIME_LIMIT"


@pytest.fixture(autouse=True)
def configure() -> Iterator[Callable[..., None]]:
    names = (
        "broker_url",
        "broker_transport_options",
        "task_time_limit",
        "beat_schedule",
        "beat_scheduler",
        "result_backend",
        "result_expires",
    )
    before = {name: app.conf[name] for name in names}
    app.loader.import_default_modules()
    app.finalize()  # a task takes the settings' time limit for its own when it is first bound
    yield lambda **given: app.conf.update(**given)
    app.conf.update(before)


def found() -> list[CheckMessage]:
    return run_checks(tags=["maintenance"])


def test_a_plain_project_is_fine() -> None:
    assert found() == []


def test_every_wrong_schedule_is_an_error_with_its_cure(configure: Callable[..., None]) -> None:
    configure(
        beat_schedule={
            "good": {"task": TASK, "schedule": crontab()},
            "typo": {"task": "celery.acumulate", "schedule": 5},
            "never": {"task": TASK, "schedule": -1},
            "loses": {"task": TASK, "schedule": 5, "options": {"time_limt": 9}},
        }
    )
    assert found() == [
        Error(
            "Schedule typo: no task is named 'celery.acumulate'.",
            hint="Did you mean 'celery.accumulate'?",
            id="maintenance.E003",
        ),
        Error(
            "Schedule never: its interval -1 is not longer than 0.",
            hint="Write a positive number of seconds: it would never rest.",
            id="maintenance.E002",
        ),
        Warning(
            "Schedule loses: Celery knows no send option 'time_limt'.",
            hint="It is sent as it is; check its spelling.",
            id="maintenance.W003",
        ),
    ]


def test_without_the_tables_schedules_are_not_looked_at(configure: Callable[..., None], settings: Any) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_celery_beat"]
    configure(beat_schedule={"never": {"task": TASK, "schedule": -1}})
    assert found() == []


def too_short(timeout: int, limit: int, source: str) -> Warning:
    return Warning(
        f"The broker hands a task out again after {timeout}s (visibility_timeout), "
        f"but it may run for {limit}s ({source}). It would run twice.",
        hint=f'Set CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] = {limit + 600}.',
        id="maintenance.W001",
    )


@pytest.mark.parametrize(
    ("url", "options", "limit", "expected"),
    [
        ("redis://h/0", {"visibility_timeout": 90_000}, 89_999, []),
        ("redis://h/0", {"visibility_timeout": 90_000}, 90_000, [too_short(90_000, 90_000, LIMIT)]),
        ("rediss://h/0", {}, 90_000, [too_short(3600, 90_000, LIMIT)]),
        ("redis+socket:///s", None, 90_000, [too_short(3600, 90_000, LIMIT)]),
        ("redis://h/0", {"visibility_timeout": 90_000}, None, []),
        ("amqp://h//", {"visibility_timeout": 60}, 90_000, []),
    ],
)
def test_the_visibility_timeout_is_above_the_longest_limit(
    configure: Callable[..., None], url: str, options: Any, limit: int | None, expected: list[CheckMessage]
) -> None:
    configure(broker_url=url, broker_transport_options=options, task_time_limit=limit)
    assert found() == expected


def test_a_tasks_own_limit_counts(configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    configure(broker_url="redis://h/0", task_time_limit=60)
    monkeypatch.setattr(app.tasks[TASK], "time_limit", 99_999)
    assert found() == [too_short(3600, 99_999, f"task {TASK}")]


IGNORED = "Beside the new name it is ignored: its queues do not exist."


def test_the_old_name_of_the_queues(settings: Any) -> None:
    settings.CELERY_QUEUES = [Queue("a")]
    hint = "Rename CELERY_QUEUES to CELERY_TASK_QUEUES."
    old = "CELERY_QUEUES is the old name of CELERY_TASK_QUEUES"
    assert found() == [Warning(f"{old}. {IGNORED}", hint=hint, id="maintenance.W002")]
    settings.CELERY_TASK_QUEUES = [Queue("b")]
    assert found() == [Warning(f"{old} and is ignored beside it. {IGNORED}", hint=hint, id="maintenance.W002")]


def test_an_app_that_cannot_be_imported(settings: Any) -> None:
    settings.MAINTENANCE = {"WORKER": {"APP": "nowhere"}}
    assert found() == [
        Error(
            "No Celery app was found (nowhere: No module named 'nowhere').",
            hint='Pass -A package, or set MAINTENANCE["WORKER"]["APP"] = "package".',
            id="maintenance.E004",
        )
    ]


def test_a_project_without_a_celery_app_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**given: Any) -> None:
        raise CeleryAppMissing(tried="host.celery")

    monkeypatch.setattr(project, "celery_app", missing)
    assert found() == []


def test_tasks_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError("No module named 'pandas'")

    monkeypatch.setattr(app.loader, "import_default_modules", fail)
    assert found() == [
        Error(
            "The project's tasks cannot be imported: No module named 'pandas'.",
            hint="Mend the module that it names, or install what is missing.",
            id="maintenance.E004",
        )
    ]


def test_an_unknown_setting_is_told_once(settings: Any) -> None:
    settings.MAINTENANCE = {"WORKR": {}}
    assert found() == [
        Error("Unknown key 'WORKR' in MAINTENANCE.", hint="Did you mean 'WORKER'?", id="maintenance.E001"),
    ]


def who_deletes() -> Deleting | None:
    return results.who_deletes(Facts(app=app, settings=django_settings, ours=conf.get()))


CLEANUP = {"task": "celery.backend_cleanup", "schedule": crontab(minute=0)}
PURGE = {"task": "maintenance.purge_results", "schedule": crontab(minute=0)}
NOBODY = "Nobody deletes old results: their tables grow for ever."
OURS = "maintenance.beat:Scheduler"
SLOW = "Tables without an end slow every query down; two who delete lock each other out."


@pytest.mark.parametrize(
    ("schedule", "given", "who"),
    [
        (
            {},
            {},
            "Old results are deleted by celery.backend_cleanup (beat's own daily entry), in one long transaction.",
        ),
        ({"mine": CLEANUP}, {}, "Old results are deleted by celery.backend_cleanup (mine), in one long transaction."),
        ({"nightly": PURGE}, {"beat_scheduler": OURS}, "Old results are deleted by the schedule 'nightly'."),
        ({"nightly": PURGE}, {"result_expires": None}, "Old results are deleted by the schedule 'nightly'."),
    ],
)
def test_doctor_tells_who_deletes_old_results(
    configure: Callable[..., None], schedule: Any, given: dict[str, Any], who: str
) -> None:
    configure(result_backend="django-db", beat_schedule=schedule, **given)
    assert [each for each in found() if each.id == "maintenance.W005"] == []
    assert who_deletes() == Deleting(who)


@pytest.mark.parametrize(
    ("schedule", "given", "message"),
    [
        ({}, {"result_expires": None}, NOBODY),
        (
            {"nightly": PURGE},
            {},
            "Old results are deleted by 'nightly' and by celery.backend_cleanup (beat's own daily entry), "
            "in one long transaction.",
        ),
        (
            {"nightly": PURGE, "mine": CLEANUP},
            {"beat_scheduler": OURS},
            "Old results are deleted by 'nightly' and by celery.backend_cleanup (mine), in one long transaction.",
        ),
    ],
)
def test_results_that_nobody_or_two_delete_are_a_warning(
    configure: Callable[..., None], schedule: Any, given: dict[str, Any], message: str
) -> None:
    configure(result_backend="maintenance.results.backend:DatabaseBackend", beat_schedule=schedule, **given)
    assert [each.msg for each in found() if each.id == "maintenance.W005"] == [f"{message} {SLOW}"]


def test_a_schedule_that_rests_deletes_nothing(configure: Callable[..., None], settings: Any) -> None:
    settings.MAINTENANCE = {"SCHEDULES": {"nightly": {"ENABLED": False}}}
    configure(result_backend="django-db", beat_schedule={"nightly": PURGE}, result_expires=None)
    assert [each.msg for each in found() if each.id == "maintenance.W005"] == [f"{NOBODY} {SLOW}"]


def test_results_that_are_elsewhere_are_nobodys_business(configure: Callable[..., None]) -> None:
    configure(result_backend="cache+memory://", result_expires=None)
    assert (found(), who_deletes()) == ([], None)
