"""purge_results: which rows go, on both sides of each boundary, and what happens when something is in the way."""

import io
import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
import zstandard
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results import models
from django_celery_results.models import GroupResult, TaskResult

from maintenance import batches, conf, results
from maintenance.batches import Pace
from maintenance.errors import CannotWrite
from maintenance.management.stopping import stopping
from maintenance.results import Archive, deletion
from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
Chord: Any = models.ChordCounter  # type: ignore[attr-defined] # its stubs lack it
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
NOW = timezone.now()


def add(name: str, *, age: timedelta, status: str = "SUCCESS", task: str | None = "app.tasks.add") -> None:
    TaskResult.objects.create(task_id=name, status=status, task_name=task, result=json.dumps({"name": name}))
    TaskResult.objects.filter(task_id=name).update(date_done=NOW - age)


def left() -> set[str]:
    return set(TaskResult.objects.values_list("task_id", flat=True))


def purge(pace: Pace | None = None, archive: Archive | None = None, **given: Any) -> results.Purged:
    rules = results.plan(now=NOW, given=conf.Results(), **{"older_than": 7 * DAY, **given})
    pace = pace or Pace()
    counted = results.count(rules, pace=pace)
    done = results.purge(rules, pace=pace, archive=archive)
    if done.complete:
        assert (counted.deleted, counted.by_status, counted.stuck) == (done.deleted, done.by_status, done.stuck)
    return done


def test_failures_are_kept_for_a_time_of_their_own() -> None:
    for name, age in (("young", 7 * DAY - SECOND), ("old", 7 * DAY + SECOND), ("older", 30 * DAY + SECOND)):
        add(name, age=age)
        add(f"failed {name}", age=age, status="FAILURE")
    done = purge(failed_older_than=30 * DAY)
    assert done.by_status == {"FAILURE": 1, "SUCCESS": 2}
    assert left() == {"young", "failed young", "failed old"}
    assert purge().by_status == {"FAILURE": 1}


def test_failures_may_go_sooner_and_others_stay_for_ever() -> None:
    for status in ("SUCCESS", "FAILURE"):
        add(status, age=2 * DAY, status=status)
    rules = results.plan(now=NOW, given=conf.Results(keep_for=timedelta(0), keep_failed_for=DAY))
    assert results.purge(rules, pace=Pace()).by_status == {"FAILURE": 1}
    assert left() == {"SUCCESS"}


def test_only_these_statuses_and_tasks_and_then_no_groups() -> None:
    add("a", age=8 * DAY)
    add("b", age=8 * DAY, status="REVOKED")
    add("c", age=8 * DAY, task="app.tasks.adder")
    add("nameless", age=8 * DAY, task=None)
    GroupResult.objects.create(group_id="group")
    GroupResult.objects.update(date_done=NOW - 8 * DAY)
    assert purge(tasks=("app.tasks.add",), statuses=("SUCCESS",)).deleted == 1
    assert left() == {"b", "c", "nameless"}
    assert purge(tasks=("app.*",)).by_status == {"REVOKED": 1, "SUCCESS": 1}
    assert purge(tasks=("*",)).deleted == 1
    assert GroupResult.objects.count() == 1
    assert purge().group_results == 1


@pytest.mark.parametrize("same_time", [True, False])
def test_the_newest_of_each_task_are_kept(same_time: bool) -> None:
    for number in range(5):
        for task in ("app.a", "app.b", None):
            add(f"{task} {number}", age=8 * DAY - (timedelta() if same_time else number * SECOND), task=task)
    add("app.c", age=9 * DAY, task="app.c")
    assert purge(keep_last=2, pace=Pace(size=1)).deleted == 9
    assert left() == {"app.c", *(f"{task} {number}" for task in ("app.a", "app.b", None) for number in (3, 4))}
    assert purge(keep_last=2).deleted == 0


def test_of_a_status_its_own_newest_are_kept() -> None:
    for number in range(3):
        add(f"done {number}", age=(8 - number) * DAY)
        add(f"failed {number}", age=(20 - number) * DAY, status="FAILURE")
    assert purge(statuses=("FAILURE",), keep_last=1).deleted == 2
    assert left() == {"done 0", "done 1", "done 2", "failed 2"}


def test_stuck_ones_go_before_their_time_and_are_told_by_task() -> None:
    for status in ("STARTED", "PENDING", "RETRY", "SUCCESS"):
        add(f"{status} long", age=DAY + SECOND, status=status, task=f"app.{status}")
        add(f"{status} short", age=DAY - SECOND, status=status)
    add("very old", age=9 * DAY, status="STARTED", task=None)
    done = purge(stuck=DAY)
    assert done.stuck == {"(no name)": 1, "app.PENDING": 1, "app.RETRY": 1, "app.STARTED": 1}
    assert done.by_status == {"PENDING": 1, "RETRY": 1, "STARTED": 2}
    assert left() == {"SUCCESS long", *(f"{each} short" for each in ("STARTED", "PENDING", "RETRY", "SUCCESS"))}
    assert purge(stuck=timedelta(0), older_than=30 * DAY).deleted == 0


def chord(name: str, members: dict[str, timedelta | None], *, count: int) -> None:
    Chord.objects.create(
        group_id=name, count=count, sub_tasks=json.dumps([[[f"{name} {each}", None], None] for each in members])
    )
    for member, age in members.items():
        if age is not None:
            add(f"{name} {member}", age=age)


def test_counters_of_chords_that_cannot_complete_go_and_living_ones_stay() -> None:
    chord("waiting", {"a": None, "b": None}, count=2)
    chord("half done", {"a": DAY, "b": None}, count=1)
    chord("stored, not yet counted", {"a": DAY, "b": DAY}, count=1)
    chord("member purged", {"a": None, "b": None}, count=1)
    chord("goes with its results", {"a": 8 * DAY, "b": None}, count=1)
    chord("empty", {}, count=1)
    Chord.objects.create(group_id="inner", count=1, sub_tasks='[["g", [[["x", null], null], ["y", null]]]]')
    Chord.objects.create(group_id="unreadable", count=1, sub_tasks="?")
    assert purge().chord_counters == 4
    living = {"waiting", "half done", "stored, not yet counted", "unreadable"}
    assert set(Chord.objects.values_list("group_id", flat=True)) == living


def test_it_stops_at_its_time_budget_and_goes_on_next_time(run: Run) -> None:
    for number in range(3):
        add(f"{number}", age=8 * DAY)
    err = "CommandError: Stopped after 0s with rows left: {} deleted. Run it again: it goes on where it stopped.\n"
    for number in (1, 1):
        out, error, code = run("purge_results", "--max-seconds=0", "--batch-size=1", "--json")
        document = json.loads(out)
        assert (error, code) == (err.format(number), 75)
        assert (document["deleted"], document["complete"], document["by_status"]) == (1, False, {"SUCCESS": 1})
    assert run("purge_results", "--max-seconds=0", "--batch-size=1")[2] == 0
    assert left() == set()


def test_ctrl_c_ends_it_between_two_batches() -> None:
    for number in range(3):
        add(f"{number}", age=8 * DAY)
    before = signal.getsignal(signal.SIGINT)
    with stopping() as stopped:
        rules = results.plan(now=NOW, given=conf.Results())
        pace = Pace(size=1, stopped=stopped)
        done = results.purge(rules, pace=pace, tell=lambda deleted: os.kill(os.getpid(), signal.SIGINT))
    assert (done.deleted, done.stopped) == (1, "on request")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_the_command_is_a_line_and_the_next_run_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        add(f"{number}", age=8 * DAY)
    after = Pace.after_batch

    def interrupted(pace: Pace, **facts: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        after(pace, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(Pace, "after_batch", interrupted)
        out, err, code = run("purge_results", "--batch-size=1", "--json")
    facts = json.loads(out)
    assert (facts["deleted"], facts["stopped"], facts["complete"], len(left())) == (1, "on request", False, 2)
    said = "CommandError: Stopped on request with rows left: 1 deleted. Run it again: it goes on where it stopped.\n"
    assert (err, code) == (said, 75)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert json.loads(run("purge_results", "--json")[0])["deleted"] == 2


def archived(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.iterdir()
    with file.open("rb") as stream:
        text = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True).read()
    return [json.loads(line) for line in text.splitlines()]


def test_every_row_is_in_the_archive(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for number in range(5):
        add(f"{number}", age=8 * DAY)
    add("young", age=DAY)
    GroupResult.objects.create(group_id="group")
    GroupResult.objects.update(date_done=NOW - 8 * DAY)
    out, err, code = run("purge_results", f"--archive={folder}", "--batch-size=2", "--json")
    assert (err, code, json.loads(out)["deleted"]) == ("", 0, 6)
    (file,) = folder.iterdir()
    assert json.loads(out)["archive"] == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = archived(folder)
    assert [row["table"] for row in rows] == 5 * ["taskresult"] + ["groupresult"]
    assert [row.get("task_id") for row in rows[:5]] == [f"{number}" for number in range(5)]
    columns = {"table", *(field.attname for field in TaskResult._meta.concrete_fields)}
    assert set(rows[0]) == columns
    assert rows[0]["result"] == '{"name": "0"}'
    assert datetime.fromisoformat(rows[0]["date_done"]) == NOW - 8 * DAY


def test_where_nothing_goes_no_archive_is_left(run: Run, tmp_path: Path) -> None:
    assert run("purge_results", f"--archive={tmp_path}")[2] == 0
    assert list(tmp_path.iterdir()) == []


def test_where_the_archive_cannot_be_written_nothing_goes(run: Run, tmp_path: Path) -> None:
    add("old", age=8 * DAY)
    (tmp_path / "file").touch()
    path = f"{tmp_path}/file/folder/results-20300101T000000.000000.jsonl.zst"
    err = (
        f"CommandError: Cannot write '{path}': Not a directory. "
        "Make it writable for this user, or choose another place.\n"
    )
    with time_machine.travel("2030-01-01T00:00:00Z", tick=False):
        assert run("purge_results", f"--archive={tmp_path / 'file' / 'folder'}") == ("", err, 73)
    assert left() == {"old"}


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of a file's size")
def test_an_archive_that_grows_too_large_ends_it_with_nothing_lost(run: Run, tmp_path: Path) -> None:
    import resource

    for number in range(5):
        add(f"{number}", age=8 * DAY)
        TaskResult.objects.filter(task_id=f"{number}").update(result=os.urandom(3000).hex())
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A write beyond it is refused half done, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, usual[1]))
    try:
        with time_machine.travel("2030-01-01T00:00:00Z", tick=False):
            out, err, code = run("purge_results", f"--archive={tmp_path}", "--batch-size=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    said = (
        f"CommandError: Cannot write '{tmp_path}/results-20300101T000000.000000.jsonl.zst': File too large. "
        "Make it writable for this user, or choose another place.\n"
    )
    assert (out, err, code) == ("", said, 73)
    gone = {row["task_id"] for row in archived(tmp_path)}
    assert 0 < len(gone) < 5
    assert (gone | left(), gone & left()) == ({"0", "1", "2", "3", "4"}, set())


def test_on_a_full_disk_only_what_is_archived_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        add(f"{number}", age=8 * DAY)
    synced: list[int] = []

    def fsync(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 4:  # the folder, two batches, and the third
            raise OSError(28, "No space left on device")

    with Archive(tmp_path, now=NOW) as archive:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(CannotWrite, match="No space left on device") as caught:
            purge(pace=Pace(size=1), archive=archive)
    assert caught.value.exit_code == 73
    assert len(synced) == 3 + 1
    gone = {row["task_id"] for row in archived(tmp_path)}
    assert gone | left() == {"0", "1", "2", "3"}
    assert gone & left() == set()


def test_a_listener_is_told_of_every_row_and_few_are_loaded_at_a_time() -> None:
    told: list[str] = []
    TaskResult.objects.bulk_create(TaskResult(task_id=f"{number}") for number in range(1100))
    TaskResult.objects.update(date_done=NOW - 8 * DAY)

    def listen(instance: TaskResult, **kwargs: Any) -> None:
        told.append(instance.task_id)

    post_delete.connect(listen, sender=TaskResult)
    try:
        done = purge()
    finally:
        post_delete.disconnect(listen, sender=TaskResult)
    assert (done.deleted, done.by_status, done.batches) == (1100, {"PENDING": 1100}, 3)
    assert sorted(told, key=int) == [f"{number}" for number in range(1100)]


def test_no_row_is_loaded_and_no_id_read() -> None:
    for number in range(3):
        add(f"{number}", age=(8 + number) * DAY)
    with CaptureQueriesContext(connection) as queries:
        results.purge(results.plan(now=NOW, given=conf.Results()), pace=Pace())
    table = '"django_celery_results_taskresult"'
    statements = [query["sql"] for query in queries if table in query["sql"]]
    assert [sql for sql in statements if f'{table}."result"' in sql or f'SELECT {table}."id"' in sql] == []
    assert sum(sql.startswith("DELETE") and "WHERE 0" not in sql for sql in statements) == 1


def test_a_result_that_is_stored_again_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    add("retried", age=8 * DAY)
    add("old", age=8 * DAY)
    wait = batches._Work._queue_up

    def store(work: Any) -> None:
        wait(work)
        TaskResult.objects.filter(task_id="retried").update(date_done=NOW, status="STARTED")

    monkeypatch.setattr(batches._Work, "_queue_up", store)
    rules = results.plan(now=NOW, given=conf.Results(), keep_last=None, statuses=("SUCCESS",))
    done = results.purge(rules, pace=Pace())
    assert (done.deleted, done.by_status) == (1, {"SUCCESS": 1})
    assert left() == {"retried"}


@pytest.fixture
def _lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.utils import OperationalError

    begun: list[int] = []
    wait = batches._Work._queue_up

    def lose(work: Any) -> None:
        begun.append(1)
        if len(begun) == 2:
            raise OperationalError("server closed the connection unexpectedly")
        wait(work)

    monkeypatch.setattr(batches._Work, "_queue_up", lose)


@pytest.mark.usefixtures("_lost_connection")
def test_a_database_that_goes_away_is_told_with_what_is_done(run: Run) -> None:
    for number in range(3):
        add(f"{number}", age=(8 + number) * DAY)
    err = (
        "CommandError: The database is unavailable: server closed the connection unexpectedly. Until then 1 deleted. "
        "Run it again when it is back: it goes on where it stopped.\n"
    )
    assert run("purge_results", "--batch-size=1") == ("", err, 69)
    assert len(left()) == 2
    assert run("purge_results")[2] == 0
    assert left() == set()


def test_an_unknown_status_or_database_is_refused(run: Run) -> None:
    add("old", age=8 * DAY, status="PROGRESS")
    out, err, code = run("purge_results", "--status", "sucess")
    assert (out, code) == ("", 2)
    assert err.startswith("CommandError: No task has the status 'SUCESS'. Celery's are FAILURE, PENDING, ")
    out, err, code = run("purge_results", "--database=other")
    assert (out, code, err.count("\n")) == ("", 2, 1)
    assert err.startswith("CommandError: argument --database: invalid choice: 'other' (choose from ")
    assert run("purge_results", "--status", "progress")[2] == 0
    assert left() == set()


def test_the_words_tell_of_all_that_went(run: Run, tmp_path: Path) -> None:
    add("old", age=8 * DAY)
    add("failed", age=40 * DAY, status="FAILURE")
    add("hung", age=2 * DAY, status="STARTED")
    chord("dead", {}, count=1)
    flags = ["--older-than=7d", "--failed-older-than=30d", "--stuck=24h"]
    kept = "older than 7d (--older-than), failures older than 30d (--failed-older-than)"
    out = (
        f"Would delete 3 task results, 0 group results and 1 counter of dead chords {kept}, in about 1s.\n"
        "By status: 1 FAILURE, 1 STARTED, 1 SUCCESS.\n"
        "  app.tasks.add: 1 FAILURE, 1 STARTED, 1 SUCCESS\n"
        "Of them had been stuck 1: 1 app.tasks.add.\n"
    )
    assert run("purge_results", *flags, "--dry-run") == (out, "", 0)
    out, err, code = run("purge_results", *flags, f"--archive={tmp_path}")
    (file,) = tmp_path.iterdir()
    assert (err, code) == ("", 0)
    lines = out.splitlines()
    assert lines[0] == f"Deleted 3 task results, 0 group results and 1 counter of dead chords {kept} in 3 batches."
    assert lines[1:3] == ["By status: 1 FAILURE, 1 STARTED, 1 SUCCESS.", "Of them had been stuck 1: 1 app.tasks.add."]
    assert lines[3].startswith(f"Archived 4 rows in '{file}' (")


def test_on_a_terminal_a_bar_shows_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    add("old", age=8 * DAY)
    out, err = io.StringIO(), Terminal()
    monkeypatch.setenv("TERM", "xterm")
    call_command("purge_results", stdout=out, stderr=err, no_color=True)
    assert out.getvalue().startswith("Deleted 1 task result and 0 group results older than 7d (the default) in 1 batch")
    assert "Deleting results" in err.getvalue()


def test_vacuum_asks_where_it_blocks(run: Run) -> None:
    add("old", age=8 * DAY)
    assert run("purge_results", "--vacuum") == (
        "",
        "CommandError: Not confirmed: nothing was changed. Answer y, or pass --noinput where nobody can answer.\n",
        4,
    )
    assert left() == {"old"}
    # These tests run in a transaction, where VACUUM is refused; the live tests do it.
    assert run("purge_results", "--vacuum", "--noinput")[2] == 1


def test_the_estimate_is_never_less_than_a_second() -> None:
    add("old", age=8 * DAY)
    counted = results.count(results.plan(now=NOW, given=conf.Results()), pace=Pace())
    assert (counted.deleted, counted.by_task, deletion.default_rest()) == (1, {"app.tasks.add": {"SUCCESS": 1}}, 0.05)
