"""settings.MAINTENANCE: what is read, and what is refused by name."""

from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from maintenance import conf
from maintenance.errors import BadSetting, ConfigurationError, UnknownSetting


def test_without_any_setting_the_defaults_hold() -> None:
    assert conf.get() == conf.Maintenance()
    assert conf.get().backups.root == Path("var/backups")


def test_every_shape_is_read() -> None:
    given = {
        "WORKER": {
            "APP": "proj",
            "GRACE": "45s",
            "MEMORY_PER_CHILD": "200MB",
            "DATABASE_CONNECTIONS": 10,
            "PROFILES": {"heavy": {"QUEUES": "a, b", "CONCURRENCY": "auto", "MAX_MEMORY": "1GB", "GRACE": 60}},
        },
        "RESULTS": {"KEEP_FOR": timedelta(days=3)},
        "CACHES": {"CLEAR": ["default", "pages"]},
    }
    with override_settings(MAINTENANCE=given):
        worker, results, caches = conf.get().worker, conf.get().results, conf.get().caches
    heavy = conf.Profile(queues=("a", "b"), concurrency="auto", max_memory=1_000_000_000, grace=timedelta(seconds=60))
    assert worker == conf.Worker(
        app="proj",
        grace=timedelta(seconds=45),
        memory_per_child=200_000_000,
        database_connections=10,
        profiles={"heavy": heavy},
    )
    assert (results.keep_for, caches.clear) == (timedelta(days=3), ("default", "pages"))
    assert conf.get() == conf.Maintenance(), "override_settings is followed both ways"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WORKERS": {}}, "Unknown key 'WORKERS' in MAINTENANCE. Did you mean 'WORKER'?"),
        ({"worker": {}}, "Unknown key 'worker' in MAINTENANCE. Did you mean 'WORKER'?"),
        (
            {"WORKER": {"GRACES": 3}},
            "Unknown key 'GRACES' in MAINTENANCE[\"WORKER\"]. Did you mean 'GRACE'?",
        ),
        (
            {"WORKER": {"PROFILES": {"heavy": {"QUEUE": "x"}}}},
            'Unknown key \'QUEUE\' in MAINTENANCE["WORKER"]["PROFILES"]["heavy"]. Did you mean \'QUEUES\'?',
        ),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(given: dict[str, Any], message: str) -> None:
    with override_settings(MAINTENANCE=given), pytest.raises(UnknownSetting) as caught:
        conf.get()
    assert (str(caught.value), caught.value.exit_code) == (message, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "settings['MAINTENANCE'] is []: it must be a dict."),
        ({"WORKER": 3}, "MAINTENANCE['WORKER'] is 3: it must be a dict."),
        (
            {"WORKER": {"GRACE": "soon"}},
            "MAINTENANCE[\"WORKER\"]['GRACE'] is 'soon': it must be a duration such as 30s, 5m, 2h or 7d.",
        ),
        (
            {"WORKER": {"DATABASE_CONNECTIONS": 0}},
            "MAINTENANCE[\"WORKER\"]['DATABASE_CONNECTIONS'] is 0: it must be a whole number from 1 up.",
        ),
        (
            {"WORKER": {"DATABASE_CONNECTIONS": True}},
            "MAINTENANCE[\"WORKER\"]['DATABASE_CONNECTIONS'] is True: it must be a whole number from 1 up.",
        ),
        (
            {"CACHES": {"CLEAR": [1]}},
            "MAINTENANCE[\"CACHES\"]['CLEAR'] is [1]: it must be a list of names.",
        ),
        (
            {"WORKER": {"PROFILES": {"heavy": {"CONCURRENCY": "many"}}}},
            'MAINTENANCE["WORKER"]["PROFILES"]["heavy"][\'CONCURRENCY\'] is \'many\': '
            'it must be a whole number from 1 up, or "auto".',
        ),
    ],
)
def test_a_bad_value_is_refused_by_name(given: Any, message: str) -> None:
    with override_settings(MAINTENANCE=given), pytest.raises(BadSetting) as caught:
        conf.get()
    assert str(caught.value) == message
    assert isinstance(caught.value, ConfigurationError)


def test_every_setting_says_when_to_change_it() -> None:
    for section in (*conf.SECTIONS.values(), conf.Profile):
        for entry in fields(section):
            assert entry.metadata["when"].endswith((".", ")")), f"{section.__name__}.{entry.name}"


def schedules(**given: Any) -> conf.Schedule:
    with override_settings(MAINTENANCE={"SCHEDULES": {"it": given}}):
        return conf.get().schedules["it"]


def test_schedules_are_read_in_small_letters_and_in_capitals() -> None:
    wanted = conf.Schedule(enabled=False, start_time=datetime(2030, 1, 31, 8), timezone="Asia/Tokyo", no_overlap=True)
    assert schedules(enabled=False, start_time="2030-01-31T08:00", timezone="Asia/Tokyo", no_overlap=True) == wanted
    assert (
        schedules(ENABLED=False, START_TIME=datetime(2030, 1, 31, 8), TIMEZONE="Asia/Tokyo", NO_OVERLAP=True) == wanted
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("once", "once"), ("skip", "skip"), ("all", "all"), ("all:1", "all:1"), ("within:90", "within:90"),
        ("within:10m", "within:600"), ("within:0.5", "within:0.5"), ("within:30d", "within:2592000"),
    ],
)  # fmt: skip
def test_a_misfire_policy_is_read(given: str, read: str) -> None:
    assert schedules(misfire=given).misfire == read


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        *(
            ("misfire", value, 'once, skip, all, all:N or within:TIME (such as "within:10m")')
            for value in ("never", "once:2", "all:0", "all:", "within:0", "within", "within:soon", 5)
        ),
        ("enabled", 1, "True or False"),
        ("timezone", "Berlin", "a time zone such as Europe/Berlin"),
        ("ping", "ftp://example.com", "an http or https address of at most 500 characters"),
        ("ping", "https://example.com/" + "a" * 481, "an http or https address of at most 500 characters"),
        ("start_time", "soon", "a datetime, or text such as 2030-01-31T08:00"),
        ("description", 5, "text"),
    ],
)
def test_a_wrong_value_of_a_schedule_is_named(key: str, value: Any, expected: str) -> None:
    with pytest.raises(BadSetting) as refused:
        schedules(**{key: value})
    assert (
        str(refused.value) == f'MAINTENANCE["SCHEDULES"]["it"][\'{key.upper()}\'] is {value!r}: it must be {expected}.'
    )


def test_the_longest_address() -> None:
    assert len(schedules(ping="https://example.com/" + "a" * 480).ping or "") == 500


@pytest.mark.parametrize("given", [[], {"it": 5}, {5: {}}])
def test_schedules_are_dicts_by_name(given: Any) -> None:
    with override_settings(MAINTENANCE={"SCHEDULES": given}), pytest.raises(BadSetting):
        conf.get()


def test_an_unknown_key_of_a_schedule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownSetting, match="Did you mean 'MISFIRE'"):
        schedules(misfires="all")
