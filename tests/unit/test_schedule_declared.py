"""What is declared: entries as values, and every error with its name and cure."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab
from django_celery_beat.clockedschedule import clocked
from kombu import Exchange, Queue

from maintenance.schedules import declared
from maintenance.schedules.declared import Declaration, Fault
from maintenance.schedules.entries import Entry
from maintenance.schedules.timings import Interval

BERLIN = ZoneInfo("Europe/Berlin")
SCHEDULES = "Write seconds, a timedelta, crontab(), solar() or clocked()."
IDS = "Pass ids and plain values."
EVERY_MINUTE = Interval(60_000_000)


def parse(**entries: Any) -> Declaration:
    return declared.parse(entries, zone=BERLIN, tasks={"app.add", "app.mail"})


def one(**given: Any) -> Declaration:
    return parse(it={"task": "app.add", "schedule": 60, **given})


def test_the_least_entry() -> None:
    assert one() == Declaration(entries=(Entry(name="it", task="app.add", timing=EVERY_MINUTE),))


def test_everything_that_the_tables_hold_arrives() -> None:
    options = {
        "queue": Queue("heavy"),
        "exchange": Exchange("other"),
        "routing_key": "key",
        "priority": 255,
        "headers": {"b": 1, "a": [2]},
        "expires": timedelta(minutes=2),
    }
    assert one(args=(1, "a"), kwargs={"z": None, "b": 2}, options=options).entries == (
        Entry(
            name="it",
            task="app.add",
            timing=EVERY_MINUTE,
            args='[1, "a"]',
            kwargs='{"b": 2, "z": null}',
            queue="heavy",
            exchange="other",
            routing_key="key",
            priority=255,
            headers='{"a": [2], "b": 1}',
            expire_seconds=120,
        ),
    )


def test_crontabs_and_naive_times_are_in_the_apps_zone() -> None:
    (entry,) = one(schedule=crontab(hour=3, minute=15), options={"expires": datetime(2030, 7, 1, 12, 0)}).entries
    assert (str(entry.timing), entry.expires) == (
        "crontab 15 3 * * * Europe/Berlin",
        datetime(2030, 7, 1, 10, 0, tzinfo=UTC),
    )


def test_a_clocked_entry_runs_once() -> None:
    assert [entry.one_off for entry in one(schedule=clocked(datetime(2030, 1, 1, tzinfo=UTC))).entries] == [True]


def refused(value: object) -> str:
    """Return json's own words, which differ between versions of Python."""
    with pytest.raises(ValueError) as caught:
        json.dumps(value, allow_nan=False)
    return str(caught.value)


NOT_A_NUMBER = refused([float("nan")])


@pytest.mark.parametrize(
    ("given", "problem", "cure"),
    [
        ({"task": None}, "its task is None", "Write a name."),
        ({"task": "t" * 201}, "its task has 201 characters", "The table holds 200: shorten it."),
        ({"schedule": None}, "its schedule is a NoneType", SCHEDULES),
        ({"args": "ab"}, "its args are a str", "Write a list or tuple."),
        ({"args": [object]}, "its args are not JSON (Object of type type is not JSON serializable)", IDS),
        ({"args": [float("nan")]}, f"its args are not JSON ({NOT_A_NUMBER})", IDS),
        ({"kwargs": ["a"]}, "its kwargs are a list", "Write a dict."),
        ({"kwargs": {1: 2}}, "its kwargs have a key that is no text", "Write every key as text."),
        ({"option": {}}, "it has the unknown key 'option'", "Did you mean 'options'?"),
        ({"queue": "x"}, "it has the unknown key 'queue'", "Did you mean 'queue' inside options?"),
        ({"zzzz": 1}, "it has the unknown key 'zzzz'", "Known: task, schedule, args, kwargs, options, relative."),
        ({"relative": True}, "its interval is relative, which the tables cannot hold", "Write a crontab."),
        ({"options": []}, "its options are a list", "Write a dict."),
        ({"options": {"queue": 5}}, "its queue is 5", "Write a name."),
        ({"options": {"priority": 256}}, "its priority is 256", "Write a whole number from 0 to 255."),
        ({"options": {"expires": 0}}, "its expires is 0", "Write seconds from 1 up, a timedelta or a datetime."),
        ({"options": {"expires": 1.5}}, "its expires is 1.5", "The table holds whole seconds: round it."),
        ({"task": "app.ad"}, "no task is named 'app.ad'", "Did you mean 'app.add'?"),
        ({"task": "zzz"}, "no task is named 'zzz'", "Register it, or import its module in CELERY_IMPORTS."),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named_with_its_cure(given: dict[str, Any], problem: str, cure: str) -> None:
    found = one(**given)
    assert (found.entries, [(fault.name, fault.problem, fault.cure) for fault in found.errors]) == (
        (),
        [("it", problem, cure)],
    )


def test_the_last_value_that_is_good() -> None:
    assert one(task="app.add", options={"priority": 0, "expires": 1}, args=()).errors == ()


def test_every_error_is_collected_and_good_entries_are_read() -> None:
    found = parse(
        good={"task": "app.mail", "schedule": 5},
        bad={"task": "", "schedule": 0},
        worse=7,
        misspelt={"task": "app.male", "schedule": 5},
    )
    assert [entry.name for entry in found.entries] == ["good"]
    assert [str(fault) for fault in found.errors] == [
        "bad: its task is ''. Write a name.",
        "bad: its interval 0 is not longer than 0. Write a positive number of seconds: it would never rest.",
        "worse: it is a int. Write a dict with task and schedule.",
        "misspelt: no task is named 'app.male'. Did you mean 'app.mail'?",
    ]
    assert [fault.kind for fault in found.errors] == ["entry", "entry", "entry", "task"]


def test_names_that_the_table_cannot_hold() -> None:
    longest = {"n" * 200: {"task": "app.add", "schedule": 5}}
    assert declared.parse(longest, zone=BERLIN, tasks={"app.add"}).errors == ()
    wrong: dict[Any, Any] = {"n" * 201: {"task": "app.add", "schedule": 5}, 7: {"task": "app.add", "schedule": 5}}
    problems = [fault.problem for fault in declared.parse(wrong, zone=BERLIN, tasks={"app.add"}).errors]
    assert problems == ["its name has 201 characters", "its name is 7"]


def test_an_option_without_a_column_is_a_warning() -> None:
    found = one(options={"time_limit": 5, "queue": "q"})
    assert found.warnings == (
        Fault("it", "beat will not send its option 'time_limit'", "The tables have no column for it."),
    )
    assert [entry.queue for entry in found.entries] == ["q"]


def test_settings_app_conf_and_add_periodic_task_are_read_alike() -> None:
    app = Celery("alone", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"from conf": {"task": "alone.ping", "schedule": 5}}
    app.conf.update(timezone="Asia/Kolkata")

    @app.task(name="alone.ping")
    def ping() -> None:
        """Stand in for a task."""

    @app.on_after_finalize.connect
    def late(sender: Celery, **kwargs: Any) -> None:
        sender.add_periodic_task(crontab(minute=1), ping.s(), name="from a signal", queue="q")

    app.add_periodic_task(7.0, ping.s(), name="from a call")
    found = declared.read(app)
    assert found.errors == ()
    assert [(entry.name, str(entry.timing), entry.queue) for entry in found.entries] == [
        ("from conf", "every 5s", None),
        ("from a call", "every 7s", None),
        ("from a signal", "crontab 1 * * * * Asia/Kolkata", "q"),
    ]


def test_a_fingerprint_tells_meanings_apart_and_not_spellings() -> None:
    def fingerprint(**given: Any) -> str:
        return one(**given).entries[0].fingerprint

    assert fingerprint(schedule=crontab(hour="*/12")) == fingerprint(schedule=crontab(hour="0,12"))
    different = [one(), one(args=[1]), one(options={"queue": "q"}), one(options={"expires": 9}), one(schedule=61)]
    assert len({found.entries[0].fingerprint for found in different}) == 5
