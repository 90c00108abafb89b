"""The plan of `celery beat`, compared whole."""

from typing import Any

import pytest

from maintenance.beat import launch
from maintenance.beat.launch import CELERYS_DEFAULT, DATABASE_SCHEDULER, BeatPlan, UnknownLevel

FACTS: dict[str, Any] = {
    "python": "/py",
    "app": "proj",
    "app_reason": "-A",
    "scheduler_setting": CELERYS_DEFAULT,
    "has_tables": True,
    "loglevel": None,
    "celery_args": (),
}


def test_the_whole_plan() -> None:
    assert launch.plan(**FACTS) == BeatPlan(
        app="proj",
        scheduler=DATABASE_SCHEDULER,
        loglevel="INFO",
        argv=("/py", "-m", "celery", "-A", "proj", "beat", "-l", "INFO", "-S", DATABASE_SCHEDULER),
        reasons={"app": "-A", "scheduler": "django_celery_beat is installed", "loglevel": "default"},
    )


@pytest.mark.parametrize(
    ("setting", "has_tables", "scheduler", "reason"),
    [
        ("proj.beat:Own", True, "proj.beat:Own", "CELERY_BEAT_SCHEDULER"),
        ("proj.beat:Own", False, "proj.beat:Own", "CELERY_BEAT_SCHEDULER"),
        (None, True, DATABASE_SCHEDULER, "django_celery_beat is installed"),
        (
            CELERYS_DEFAULT,
            False,
            CELERYS_DEFAULT,
            "Celery's default: without django_celery_beat the schedule is the settings'",
        ),
    ],
)
def test_the_projects_scheduler_wins(setting: str | None, has_tables: bool, scheduler: str, reason: str) -> None:
    plan = launch.plan(**FACTS | {"scheduler_setting": setting, "has_tables": has_tables})
    assert (plan.scheduler, plan.reasons["scheduler"], plan.argv[-1]) == (scheduler, reason, scheduler)


def test_celerys_own_options_come_last_and_unchanged() -> None:
    plan = launch.plan(**FACTS | {"celery_args": ["--max-interval", "5", "a b"], "loglevel": "debug"})
    assert plan.argv[6:] == ("-l", "DEBUG", "-S", DATABASE_SCHEDULER, "--max-interval", "5", "a b")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UnknownLevel, match=r"There is no log level 'loud'. Choose from DEBUG, INFO, WARNING, ERROR"):
        launch.plan(**FACTS | {"loglevel": "loud"})


def test_the_plan_in_words_and_as_a_document() -> None:
    plan = launch.plan(**FACTS)
    assert launch.explain(plan) == [
        "app          proj  (-A)",
        "scheduler    django_celery_beat.schedulers:DatabaseScheduler  (django_celery_beat is installed)",
        "loglevel     INFO  (default)",
        "$ /py -m celery -A proj beat -l INFO -S django_celery_beat.schedulers:DatabaseScheduler",
    ]
    assert launch.document(plan) == {
        "app": "proj",
        "scheduler": DATABASE_SCHEDULER,
        "loglevel": "INFO",
        "argv": list(plan.argv),
        "env": {},
        "reasons": dict(plan.reasons),
    }
