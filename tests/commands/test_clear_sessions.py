"""clear_sessions, through its door."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import modify_settings
from django.utils import timezone

from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _three_expired_and_one_live() -> None:
    now = timezone.now()
    for name, age in (("a", 1), ("b", 2), ("c", 3), ("live", -60)):
        Session.objects.create(session_key=name, session_data="", expire_date=now - timedelta(seconds=age))


def left() -> int:
    return Session.objects.count()


def test_expired_sessions_go_in_batches(run: Run) -> None:
    assert run("clear_sessions", "--batch-size=2") == ("Deleted 3 expired sessions in 2 batches.\n", "", 0)
    assert left() == 1


def test_a_dry_run_counts(run: Run) -> None:
    assert run("clear_sessions", "--dry-run") == ("Would delete 3 expired sessions.\n", "", 0)
    assert left() == 4


def test_the_document(run: Run) -> None:
    out, err, code = run("clear_sessions", "--json", "--noinput")
    assert (err, code) == ("", 0)
    assert json.loads(out) == {
        "schema_version": 1,
        "dry_run": False,
        "engine": "django.contrib.sessions.backends.db",
        "deleted": 3,
        "batches": 1,
    }


def test_another_engine_does_it_itself(run: Run, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    out = (
        "Let 'django.contrib.sessions.backends.signed_cookies' remove its expired sessions; it does not say how many.\n"
    )
    assert run("clear_sessions") == (out, "", 0)
    assert left() == 4


def test_without_the_app_the_line_to_add_is_named(run: Run) -> None:
    err = (
        "CommandError: The session engine 'django.contrib.sessions.backends.db' keeps its rows in the tables of "
        "'django.contrib.sessions', which is not installed. "
        'Add "django.contrib.sessions" to INSTALLED_APPS, then run `manage.py migrate`; or set another SESSION'
        "_ENGINE.\n"
    )
    with modify_settings(INSTALLED_APPS={"remove": ["django.contrib.sessions"]}):
        assert run("clear_sessions") == ("", err, 2)
        assert run("clear_sessions", "--dry-run") == ("", err, 2)
