"""The plan of `celery beat`, compared whole."""

from typing import Any

import pytest

from maintenance.beat import launch
from maintenance.beat.launch import CELERYS_DEFAULT, SCHEDULER, UNLEASED_SCHEDULER, BeatPlan, UnknownLevel

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
        scheduler=SCHEDULER,
        loglevel="INFO",
        argv=("/py", "-m", "celery", "-A", "proj", "beat", "-l", "INFO", "-S", SCHEDULER, "--enable-remote-control"),
        reasons={"app": "-A", "scheduler": "django_celery_beat is installed", "loglevel": "default"},
    )


@pytest.mark.parametrize(
    ("setting", "has_tables", "scheduler", "reason"),
    [
        ("proj.beat:Own", True, SCHEDULER, "django_celery_beat is installed"),
        ("proj.beat:Own", False, "proj.beat:Own", "CELERY_BEAT_SCHEDULER"),
        (None, True, SCHEDULER, "django_celery_beat is installed"),
        (
            CELERYS_DEFAULT,
            False,
            CELERYS_DEFAULT,
            "Celery's default: without django_celery_beat the schedule is the settings'",
        ),
    ],
)
def test_ours_wins_where_there_are_tables(setting: str | None, has_tables: bool, scheduler: str, reason: str) -> None:
    plan = launch.plan(**FACTS | {"scheduler_setting": setting, "has_tables": has_tables})
    assert (plan.scheduler, plan.reasons["scheduler"], plan.argv[9]) == (scheduler, reason, scheduler)


def test_without_a_lease_the_plan_says_what_that_means() -> None:
    plan = launch.plan(**FACTS, lease=False)
    assert (plan.scheduler, plan.argv[9], plan.reasons["scheduler"]) == (
        UNLEASED_SCHEDULER,
        UNLEASED_SCHEDULER,
        "--no-lease: nothing keeps a second beat from sending everything twice",
    )


def test_celerys_own_options_come_last_and_unchanged() -> None:
    plan = launch.plan(**FACTS | {"celery_args": ["--max-interval", "5", "a b"], "loglevel": "debug"})
    assert plan.argv[6:] == ("-l", "DEBUG", "-S", SCHEDULER, "--enable-remote-control", "--max-interval", "5", "a b")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UnknownLevel, match=r"There is no log level 'loud'. Choose from DEBUG, INFO, WARNING, ERROR"):
        launch.plan(**FACTS | {"loglevel": "loud"})


def test_the_plan_in_words_and_as_a_document() -> None:
    plan = launch.plan(**FACTS)
    assert launch.explain(plan) == [
        "app          proj  (-A)",
        "scheduler    maintenance.beat:Scheduler  (django_celery_beat is installed)",
        "loglevel     INFO  (default)",
        "$ /py -m celery -A proj beat -l INFO -S maintenance.beat:Scheduler --enable-remote-control",
    ]
    assert launch.document(plan) == {
        "app": "proj",
        "scheduler": SCHEDULER,
        "loglevel": "INFO",
        "argv": list(plan.argv),
        "env": {},
        "reasons": dict(plan.reasons),
    }
