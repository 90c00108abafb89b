"""settings.MAINTENANCE: what is read, and what is refused by name."""

from dataclasses import fields
from datetime import timedelta
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
