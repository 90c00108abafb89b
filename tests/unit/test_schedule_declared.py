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

from maintenance.conf import Schedule
from maintenance.schedules import added, declared, gather, spellings
from maintenance.schedules.declared import Declaration, Fault
from maintenance.schedules.entries import Entry
from maintenance.schedules.timings import Interval

BERLIN = ZoneInfo("Europe/Berlin")
SCHEDULES = spellings.USABLE
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
        (
            {"schedule": 420, "relative": True},
            "its interval of 7m is relative, which the tables cannot hold",
            "Write a crontab.",
        ),
        ({"options": []}, "its options are a list", "Write a dict."),
        ({"options": {"queue": 5}}, "its queue is 5", "Write a name."),
        ({"options": {"priority": 256}}, "its priority is 256", "Write a whole number from 0 to 255."),
        ({"options": {"expires": 0}}, "its expires is 0", "Write seconds above 0, a timedelta or a datetime."),
        ({"options": {"expires": -1}}, "its expires is -1", "Write seconds above 0, a timedelta or a datetime."),
        (
            {"options": {"retry_policy": {1, 2}}},
            "its options are not JSON (Object of type set is not JSON serializable)",
            IDS,
        ),
        ({"options": {1: 2}}, "its options have a key that is no text", "Write every key as text."),
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


@pytest.mark.parametrize(
    ("options", "column", "kept"),
    [
        ({"time_limit": 5, "soft_time_limit": 4, "ignore_result": True, "queue": "q"}, None,
         '{"ignore_result": true, "soft_time_limit": 4, "time_limit": 5}'),
        ({"expires": 1.5}, None, '{"expires": 1.5}'),
        ({"expires": timedelta(milliseconds=500)}, None, '{"expires": 0.5}'),
        ({"expires": 2**31 - 1}, 2**31 - 1, "{}"),
        ({"expires": 2**31}, None, '{"expires": 2147483648}'),
        ({"expires": 2.0}, 2, "{}"),
        ({"expire_seconds": 7}, 7, "{}"),
        ({"eta": datetime(2030, 1, 1, tzinfo=UTC)}, None, '{"eta": "2030-01-01T00:00:00+00:00"}'),
    ],
)  # fmt: skip
def test_what_the_columns_cannot_hold_is_kept_beside_them(
    options: dict[str, Any], column: int | None, kept: str
) -> None:
    found = one(options=options)
    assert (found.errors, found.warnings) == ((), ())
    assert [(entry.expire_seconds, entry.options) for entry in found.entries] == [(column, kept)]


def test_an_option_that_celery_does_not_know_is_a_warning_and_kept() -> None:
    found = one(options={"time_limt": 5})
    assert found.warnings == (
        Fault("it", "Celery knows no send option 'time_limt'", "It is sent as it is; check its spelling."),
    )
    assert [entry.options for entry in found.entries] == ['{"time_limt": 5}']


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(30, "every 30s"), (300, "crontab */5 * * * * Europe/Berlin"), (7200, "crontab 0 */2 * * * Europe/Berlin"),
     (86400, "crontab 0 0 * * * Europe/Berlin")],
)  # fmt: skip
def test_a_relative_interval_falls_on_round_times(seconds: int, words: str) -> None:
    assert [str(entry.timing) for entry in one(schedule=seconds, relative=True).entries] == [words]


def test_a_queue_that_nobody_declared() -> None:
    def queued(*, strict: bool) -> Declaration:
        queues = declared.Queues(frozenset({"default", "heavy_tasks"}), strict=strict)
        given = {"task": "app.add", "schedule": 5}
        entries = {
            "typo": {**given, "options": {"queue": "heavy_task"}},
            "good": {**given, "options": {"queue": "default"}},
        }
        return declared.parse(entries, zone=BERLIN, tasks={"app.add"}, queues=queues)

    fault = Fault("typo", "no queue 'heavy_task' is declared", "Did you mean 'heavy_tasks'?")
    assert (queued(strict=True).errors, len(queued(strict=True).entries)) == ((fault,), 1)
    assert (queued(strict=False).warnings, len(queued(strict=False).entries)) == ((fault,), 2)


def test_arguments_that_do_not_fit_the_task() -> None:
    app = Celery("binding", broker="memory://", set_as_current=False)

    @app.task(name="binding.add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    @app.task(name="binding.loose", typing=False)
    def loose(a: int) -> int:
        return a

    def problems(task: str, **given: Any) -> list[str]:
        entries = {"it": {"task": task, "schedule": 5, **given}}
        return [fault.problem for fault in declared.parse(entries, zone=BERLIN, tasks=app.tasks).errors]

    assert problems("binding.add", args=(1,)) == problems("binding.add", args=(1, 2)) == []
    assert problems("binding.loose") == []
    assert problems("binding.add", kwargs={"a": 1, "c": 2}) == [
        "its arguments do not fit the task (add() got an unexpected keyword argument 'c')"
    ]
    assert problems("binding.add") == [
        "its arguments do not fit the task (add() missing 1 required positional argument: 'a')"
    ]
    assert problems("binding.add", args=(1, 2, 3)) == [
        "its arguments do not fit the task (add() takes from 1 to 2 positional arguments but 3 were given)"
    ]


def test_the_extras_of_the_maintenance_settings() -> None:
    extra = Schedule(
        enabled=False, one_off=True, start_time=datetime(2030, 1, 1, 12), description="why", misfire="all:3",
        no_overlap=True, timezone="Asia/Tokyo", ping="https://example.com/ping",
    )  # fmt: skip
    given = {"it": {"task": "app.add", "schedule": crontab(minute=5)}}
    (entry,) = declared.parse(given, zone=BERLIN, tasks={"app.add"}, extras={"it": extra}).entries
    assert (entry.enabled, entry.one_off, entry.start_time, entry.description) == (
        False, True, datetime(2030, 1, 1, 3, tzinfo=UTC), "why",
    )  # fmt: skip
    assert (entry.misfire, entry.no_overlap, entry.ping, str(entry.timing)) == (
        "all:3", True, "https://example.com/ping", "crontab 5 * * * * Asia/Tokyo",
    )  # fmt: skip


def test_extras_for_an_entry_that_does_not_exist_are_an_error() -> None:
    given = {"backup": {"task": "app.add", "schedule": 5}}
    found = declared.parse(given, zone=BERLIN, tasks={"app.add"}, extras={"bakcup": Schedule(enabled=False)})
    assert [str(fault) for fault in found.errors] == [
        "bakcup: MAINTENANCE[\"SCHEDULES\"] names it, but the beat schedule has no such entry. Did you mean 'backup'?"
    ]


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
    found = gather.read(app, extras={})
    assert found.errors == ()
    assert [(entry.name, str(entry.timing), entry.queue) for entry in found.entries] == [
        ("from conf", "every 5s", None),
        ("from a call", "every 7s", None),
        ("from a signal", "crontab 1 * * * * Asia/Kolkata", "q"),
    ]


HIDDEN = "two places add an entry of this name, and one hides the other. Rename one of them."


@pytest.mark.parametrize("finalized", [False, True])
@pytest.mark.parametrize("moment", ["on_after_configure", "on_after_finalize"])
def test_two_apps_that_add_one_name(moment: str, finalized: bool) -> None:
    """Also when Celery had read everything before anybody asked."""
    app = Celery("doubled", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"settings": {"task": "doubled.ping", "schedule": 5}}

    @app.task(name="doubled.ping", shared=False)
    def ping() -> None:
        """Stand in for a task."""

    signal = getattr(app, moment)

    def one(sender: Celery, **kwargs: Any) -> None:
        for name in ("same", "fine", "settings"):
            sender.add_periodic_task(5, ping.s(), name=name)

    def other(sender: Celery, **kwargs: Any) -> None:
        for name, seconds in (("same", 6), ("fine", 5)):
            sender.add_periodic_task(seconds, ping.s(), name=name)

    signal.connect(one)
    signal.connect(other)

    if finalized:
        assert app.tasks["doubled.ping"]
        assert str(app.conf.beat_schedule["same"]["schedule"]) == "6"
    for _ in range(2):
        found = [str(fault) for fault in gather.read(app, extras={}).errors]
        assert found == [f"settings: {HIDDEN}", f"same: {HIDDEN}"]


def test_two_entries_that_were_added_before_the_settings_were_read() -> None:
    app = Celery("early", broker="memory://", set_as_current=False)

    @app.task(name="early.ping", shared=False)
    def ping() -> None:
        """Stand in for a task."""

    for seconds in (5, 6):
        app.add_periodic_task(seconds, ping.s(), name="same")
    assert [str(fault) for fault in gather.read(app, extras={}).errors] == [f"same: {HIDDEN}"]


def test_noticing_once_is_enough() -> None:
    before = Celery._add_periodic_task  # type: ignore[attr-defined] # the stubs leave private methods out
    added.watch()
    assert Celery._add_periodic_task is before  # type: ignore[attr-defined]


def test_celerys_own_cleanup_is_declared_where_results_pile_up() -> None:
    def names(**conf: Any) -> list[str]:
        app = Celery("cleaning", broker="memory://", set_as_current=False)
        app.conf.update(conf)
        return [entry.name for entry in gather.read(app, extras={}).entries]

    assert names() == names(result_backend="django-db", result_expires=None) == []
    assert names(result_backend="cache+memory://") == [], "it expires them by itself"
    assert names(result_backend="django-db") == ["celery.backend_cleanup"]


def test_a_fingerprint_tells_meanings_apart_and_not_spellings() -> None:
    def fingerprint(**given: Any) -> str:
        return one(**given).entries[0].fingerprint

    assert fingerprint(schedule=crontab(hour="*/12")) == fingerprint(schedule=crontab(hour="0,12"))
    different = [one(), one(args=[1]), one(options={"queue": "q"}), one(options={"expires": 9}), one(schedule=61)]
    assert len({found.entries[0].fingerprint for found in different}) == 5
