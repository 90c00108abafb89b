"""manage.py reset_schedules"""

import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from tests.conftest import Outcome

Run = Callable[..., Outcome]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ASKED = """\
~ a: last run forgotten
~ b: last run forgotten
This resets 2 of 3 schedules. Stop beat first: it writes its own back.
"""
UNCONFIRMED = "CommandError: Not confirmed: nothing was changed. Answer y, or pass --noinput where nobody can answer.\n"
pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def rows() -> None:
    minute = IntervalSchedule.objects.create(every=1, period="minutes")
    for name, ran in (("a", NOW), ("b", NOW), ("c", None)):
        PeriodicTask.objects.create(name=name, task="app.add", interval=minute, last_run_at=ran)


def last_runs() -> dict[str, datetime | None]:
    return dict(PeriodicTask.objects.values_list("name", "last_run_at"))


def test_all_last_runs_are_forgotten_and_beat_is_told(run: Run) -> None:
    mark = PeriodicTasks.last_change()
    assert run("reset_schedules", "--noinput") == (
        "~ a: last run forgotten\n~ b: last run forgotten\nReset 2 of 3 schedules.\n",
        "",
        0,
    )
    assert last_runs() == {"a": None, "b": None, "c": None}
    assert PeriodicTasks.last_change() > mark
    assert run("reset_schedules", "--noinput") == ("Reset 0 of 3 schedules.\n", "", 0)


def test_only_the_named(run: Run) -> None:
    assert run("reset_schedules", "--only", "b", "c", "--noinput") == (
        "~ b: last run forgotten\nReset 1 of 2 schedules.\n",
        "",
        0,
    )
    assert last_runs() == {"a": NOW, "b": None, "c": None}
    assert run("reset_schedules", "--only", "d", "--noinput") == (
        "",
        "CommandError: No schedule is named 'd'.\n",
        2,
    )


def test_a_dry_run_asks_and_changes_nothing(run: Run) -> None:
    assert run("reset_schedules", "--dry-run") == (
        "~ a: last run forgotten\n~ b: last run forgotten\nWould reset 2 of 3 schedules.\n",
        "",
        0,
    )
    out, err, code = run("reset_schedules", "--dry-run", "--json")
    assert (json.loads(out), err, code) == (
        {"schema_version": 1, "reset": ["a", "b"], "moved": [], "selected": 3, "applied": False},
        "",
        0,
    )
    assert last_runs() == {"a": NOW, "b": NOW, "c": None}


def test_what_moves_is_shown_with_its_next_run_before_and_after(run: Run) -> None:
    nightly = CrontabSchedule.objects.create(minute="0", hour="3", timezone=ZoneInfo("America/New_York"))
    PeriodicTask.objects.create(name="nightly", task="app.add", crontab=nightly)
    with time_machine.travel(NOW, tick=False):
        assert run("reset_schedules", "--from", "America/New_York", "--to", "Asia/Tokyo", "--noinput") == (
            "~ nightly: America/New_York -> Asia/Tokyo, "
            "next run 2030-01-01T08:00:00+00:00 -> 2030-01-01T18:00:00+00:00\n"
            "Reset 1 of 1 schedule.\n",
            "",
            0,
        )
    assert str(PeriodicTask.objects.get(name="nightly").crontab.timezone) == "Asia/Tokyo"
    assert last_runs()["a"] == NOW


def test_an_unknown_zone(run: Run) -> None:
    assert run("reset_schedules", "--to", "Berlin") == (
        "",
        "CommandError: argument --to: 'Berlin' is not a time zone such as Europe/Berlin.\n",
        2,
    )


@pytest.mark.parametrize("stdin", [io.StringIO("y\n"), Terminal("\n"), Terminal("n\n"), Terminal("")])
def test_without_a_yes_on_a_terminal_nothing_changes(
    run: Run, monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    prompt = "Reset them? [y/N] " if stdin.isatty() else ""
    assert run("reset_schedules") == ("", ASKED + prompt + UNCONFIRMED, 4)
    assert last_runs() == {"a": NOW, "b": NOW, "c": None}


def test_a_yes_on_a_terminal_resets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    out, err, code = run("reset_schedules", "--json")
    assert (json.loads(out), err, code) == (
        {"schema_version": 1, "reset": ["a", "b"], "moved": [], "selected": 3, "applied": True},
        ASKED + "Reset them? [y/N] ",
        0,
    )
    assert last_runs() == {"a": None, "b": None, "c": None}
