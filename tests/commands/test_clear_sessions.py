"""clear_sessions, through its door."""

import io
import json
import signal
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db.utils import OperationalError
from django.test import modify_settings
from django.utils import timezone

from maintenance import batches, sessions
from maintenance.batches import Pace
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
        "stopped": "",
        "complete": True,
    }


def test_it_stops_at_its_time_and_goes_on_next_time(run: Run) -> None:
    stopped = (
        "CommandError: Stopped after 0s with expired sessions left: 2 deleted. "
        "Run it again: it goes on where it stopped.\n"
    )
    out = "Deleted 2 expired sessions in 1 batch.\n"
    assert run("clear_sessions", "--batch-size=2", "--max-seconds=0") == (out, stopped, 75)
    assert left() == 2
    # The last batch leaves nothing to stop for.
    out = "Deleted 1 expired session in 1 batch.\n"
    assert run("clear_sessions", "--batch-size=2", "--max-seconds=0") == (out, "", 0)
    assert left() == 1


@pytest.mark.parametrize(("ends", "deleted"), [([9.9, 10.0], 2), ([10.0], 1), ([9.9, 9.9, 9.9], 3)])
def test_no_batch_begins_after_its_time(ends: list[float], deleted: int) -> None:
    now = [0.0]
    pace = Pace(size=1, seconds=10, clock=lambda: now[0])

    def tick(number: int) -> None:
        now[0] = ends.pop(0)

    engine = "django.contrib.sessions.backends.db"
    done = sessions.clear(engine=engine, before=timezone.now(), pace=pace, tell=tick)
    assert (done.deleted, done.complete) == (deleted, deleted == 3)
    assert done.stopped == ("" if deleted == 3 else "after 10s")


def test_ctrl_c_ends_it_between_two_batches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = batches.walk

    def interrupted(*args: Any, **options: Any) -> Iterator[Counter[Any]]:
        for batch in walk(*args, **options):
            signal.raise_signal(signal.SIGINT)
            yield batch

    monkeypatch.setattr(batches, "walk", interrupted)
    out, err, code = run("clear_sessions", "--batch-size=2", "--json")
    facts = json.loads(out)
    assert (facts["deleted"], facts["stopped"], facts["complete"]) == (2, "on request", False)
    assert err.startswith("CommandError: Stopped on request with expired sessions left: 2 deleted.")
    assert code == 75
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("lost_after", [0, 1])
def test_a_database_that_goes_says_what_went_before(run: Run, monkeypatch: pytest.MonkeyPatch, lost_after: int) -> None:
    walk = batches.walk

    def losing(*args: Any, **options: Any) -> Iterator[Counter[Any]]:
        yield from islice(walk(*args, **options), lost_after)
        raise OperationalError("server closed the connection unexpectedly\n")

    monkeypatch.setattr(batches, "walk", losing)
    err = {
        0: "CommandError: The database cannot be used: server closed the connection unexpectedly. Start it, or run "
        "`manage.py migrate`.\n",
        1: "CommandError: The database was lost while expired sessions were deleted (2 are gone): server closed the "
        "connection unexpectedly. Start it, and run this again: it goes on where it stopped.\n",
    }
    assert run("clear_sessions", "--batch-size=2") == ("", err[lost_after], 69)
    assert left() == 4 - 2 * lost_after


def test_on_a_terminal_a_bar_shows_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out, err = io.StringIO(), Terminal()
    monkeypatch.setenv("TERM", "xterm")
    call_command("clear_sessions", stdout=out, stderr=err, no_color=True)
    assert out.getvalue() == "Deleted 3 expired sessions in 1 batch.\n"
    assert "Deleting expired sessions" in err.getvalue()


def test_memory_does_not_grow_with_the_table(run: Run) -> None:
    peaks = []
    for count in (2_000, 20_000):
        expired = timezone.now() - timedelta(days=1)
        rows = (Session(session_key=f"{count}-{n}", session_data="x" * 100, expire_date=expired) for n in range(count))
        Session.objects.bulk_create(rows, batch_size=500)
        tracemalloc.start()
        assert run("clear_sessions", "--batch-size=500")[2] == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


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
