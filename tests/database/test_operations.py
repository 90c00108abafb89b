"""The ops page over HTTP: who may see and do what, how many queries it takes, what each action sends and notes."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, modify_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
from django_celery_results.models import TaskResult

from maintenance import tasks
from maintenance.backups import create, destination
from maintenance.backups.manifest import Manifest
from maintenance.health.base import Check, Figure
from maintenance.management import health
from maintenance.operations import page as page_module
from tests.celery import app

pytestmark = pytest.mark.django_db
HOME = "/admin/maintenance/operations/"
BUTTONS = {"run", "enable", "disable", "reset", "verify", "download", "retry"}
Add = Callable[[str], Path]


@pytest.fixture(autouse=True)
def nothing_known(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answers outlive a request, and would outlive a test; backups are its own."""
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "backups"}}
    monkeypatch.setattr(health, "checks", lambda found, **how: [])
    page_module.forget()
    yield
    page_module.forget()


@dataclass
class Seen(Check):
    """A check that has seen something."""

    name_: str
    seen: tuple[str | Figure, ...] = ()
    ill: str = ""
    gate: threading.Event | None = None
    consequence = "Nothing is sent."
    cure = "Start one."

    @property
    def key(self) -> str:
        return self.name_

    @property
    def name(self) -> str:
        return self.name_

    def ask(self) -> Iterator[str | Figure]:
        if self.gate:
            self.gate.wait(300)
        yield from self.seen
        if self.ill:
            raise self.failed(self.ill)


def ask(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(health, "checks", lambda found, **how: list(checks))


@pytest.fixture
def outbox() -> Iterator[Callable[[], list[tuple[str, list[Any], dict[str, Any]]]]]:
    """What was published into the memory of kombu since the last look: task, arguments, headers."""
    with app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        channel.queue_declare("celery")
        channel.queue_purge("celery")

        def take() -> list[tuple[str, list[Any], dict[str, Any]]]:
            found = []
            while message := channel.basic_get("celery", no_ack=True):
                found.append((message.headers["task"], list(message.decode()[0]), message.headers))
            return found

        yield take


def signed_in(*permissions: str, superuser: bool = False, **options: Any) -> Client:
    user = User.objects.create_user("somebody", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(**options)
    client.force_login(user)
    return client


def schedule(name: str, **given: Any) -> PeriodicTask:
    interval, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    return PeriodicTask.objects.create(**{"name": name, "task": "app.tasks.add", "interval": interval, **given})


def result(task_id: str, status: str = "SUCCESS", *, ago: timedelta = timedelta(0), **given: Any) -> TaskResult:
    row = TaskResult.objects.create(task_id=task_id, status=status, **{"task_name": "app.tasks.add", **given})
    done = timezone.now() - ago
    TaskResult.objects.filter(pk=row.pk).update(date_done=done, date_started=done - timedelta(seconds=2))
    return row


def failure(task_id: str, **given: Any) -> TaskResult:
    left = '{"exc_type": "ValueError", "exc_message": ["no such <order>"]}'
    arguments = {"task_args": "[1]", "task_kwargs": "{}"}
    return result(task_id, "FAILURE", result=left, traceback="Traceback: <here>", **{**arguments, **given})


@pytest.fixture
def backup(sqlite_file: Add, tmp_path: Path) -> Manifest:
    sqlite_file("archive")
    where = destination.choose(alias="backups", configured={}, root=tmp_path / "backups")
    plan = create.plan(alias="archive", destinations=(where,))
    return create.create(plan, holder="test", ttl=timedelta(minutes=5), clock=timezone.now).manifest


def shown(client: Client, query: str = "") -> str:
    response = client.get(HOME + query)
    assert response.status_code == 200
    return response.content.decode()


def buttons(page: str) -> set[str]:
    return set(re.findall(rf'href="{HOME}(\w+)/\?object=', page))


def tile(page: str, id: str) -> str:
    """Return the state, figure and words of a tile."""
    found = re.search(rf'ops-tile ops-(\w+)" id="tile-{id}">(.*?)</li>', page, re.DOTALL)
    assert found is not None
    return " ".join([found[1], *re.sub(r"<[^>]+>", " ", found[2]).split()])


# --- Who may see it


def test_a_stranger_is_asked_to_sign_in() -> None:
    response = Client().get(HOME)
    assert (response.status_code, response.headers["Location"]) == (302, f"/admin/login/?next={HOME}")


@pytest.mark.parametrize("path", ["", "failure/lost/", "run/?object=nightly", "download/?object=x", "nonsense/"])
def test_without_permission_there_is_no_data(path: str) -> None:
    schedule("nightly")
    failure("lost")
    client = signed_in("run_operations", "view_periodictask")
    for response in (client.get(HOME + path), client.post(HOME + path, {"object": "nightly"})):
        assert response.status_code == 403
        assert b"nightly" not in response.content
        assert b"lost" not in response.content
    assert HOME not in client.get("/admin/").content.decode()


def test_who_may_only_look_sees_everything_and_no_buttons(backup: Manifest) -> None:
    schedule("nightly")
    failure("lost")
    client = signed_in("view_operations")
    assert f'href="{HOME}"' in client.get("/admin/").content.decode()
    page = shown(client)
    for found in ("nightly", "lost", backup.id, "no such &lt;order&gt;"):
        assert found in page
    assert buttons(page) == set()
    assert "Traceback: &lt;here&gt;" in client.get(f"{HOME}failure/lost/").content.decode()
    for action in BUTTONS:
        for response in (client.get(f"{HOME}{action}/?object=nightly"), client.post(f"{HOME}{action}/")):
            assert response.status_code == 403


def test_buttons_are_for_who_may_act_and_downloads_for_superusers(backup: Manifest) -> None:
    schedule("nightly")
    schedule("off", enabled=False)
    failure("lost")
    client = signed_in("view_operations", "run_operations")
    assert buttons(shown(client)) == BUTTONS - {"download"}
    assert client.get(f"{HOME}download/?object={backup.id}").status_code == 403
    assert client.post(f"{HOME}download/", {"object": backup.id}).status_code == 403
    User.objects.update(is_superuser=True)
    assert buttons(shown(client)) == BUTTONS


def test_the_other_lists_lead_here_and_back() -> None:
    client = signed_in("view_operations", "view_periodictask", "view_taskresult")
    page = shown(client)
    for name in ("django_celery_beat_periodictask", "django_celery_results_taskresult"):
        there = reverse(f"admin:{name}_changelist")
        assert f'href="{there}"' in page
        assert f'<a href="{HOME}">Operations</a>' in client.get(there).content.decode()
    User.objects.get().user_permissions.remove(Permission.objects.get(codename="view_operations"))
    assert HOME not in client.get(reverse("admin:django_celery_beat_periodictask_changelist")).content.decode()


# --- What it shows


def test_an_empty_project_has_a_page() -> None:
    page = shown(signed_in("view_operations"))
    assert tile(page, "failures") == "ok Failures in 24 h 0 OK 0 runs failed."
    assert "There is none." in page
    assert "ops-timeline" not in page
    assert "ops-columns" not in page


def test_the_tiles_have_the_colours_of_their_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    failure("lost", ago=timedelta(hours=23))
    failure("older", ago=timedelta(hours=25))
    ask(
        monkeypatch,
        Seen("workers", (Figure("workers_answering", 2), "a, b answer.")),
        Seen("beat", ill="Nobody leads."),
    )
    page = shown(signed_in("view_operations"))
    assert tile(page, "workers") == "ok Workers 2 OK a, b answer."
    assert tile(page, "beat") == "failed Beat leader ? Failed Nobody leads. Nothing is sent. Start one."
    assert tile(page, "failures") == "warning Failures in 24 h 1 Warning 1 run failed."
    assert re.findall(r'id="tile-(\w+)"', page) == ["workers", "beat", "failures"]


def test_checks_that_hang_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    ask(monkeypatch, Seen("workers", gate=gate), Seen("disk", ("Enough.",)), Seen("clock", ill="Wrong."))
    client = signed_in("view_operations")
    started = time.monotonic()
    page = shown(client)
    assert time.monotonic() - started < 30  # the gate's 300 s are not waited for
    assert tile(page, "workers").startswith("unknown Workers ? Could not ask No answer within 0.7s.")
    assert tile(page, "clock") == "failed Clock ? Failed Wrong. Nothing is sent. Start one."
    assert "tile-disk" not in page
    gate.set()


@pytest.mark.parametrize("missing", ["django_celery_beat", "django_celery_results", "django_htmx"])
def test_its_neighbours_may_be_missing(missing: str) -> None:
    client = signed_in("view_operations", "run_operations")
    with modify_settings(INSTALLED_APPS={"remove": [missing]}):
        page = shown(client)
        assert ("ops-schedules" in page) is (missing != "django_celery_beat")
        assert ("ops-failures" in page) is (missing != "django_celery_results")
        assert ("htmx-2.min.js" in page) is (missing != "django_htmx")
        assert client.get(f"{HOME}failure/lost/").status_code == 404


def test_schedules_are_paged_and_searched() -> None:
    for number in range(45):
        schedule(f"s{number:02}", enabled=number != 7)
    client = signed_in("view_operations")

    def names(query: str) -> list[str]:
        return re.findall(r'<th scope="row">(s\d\d)', shown(client, query).partition("ops-schedules-table")[2])

    assert names("") == [f"s{number:02}" for number in range(20)]
    assert names("?p=3") == names("?p=99") == [f"s{number}" for number in range(40, 45)]
    assert names("?p=x") == names("?p=0&p=1") == names("")
    assert names("?q=S4") == names("?p=3")
    assert names("?only=disabled") == ["s07"]
    assert len(names("?only=enabled&q=s0")) == 9
    assert names("?q=nothing%00like%20it") == []


def test_htmx_is_given_the_live_part_only_and_can_be_paused() -> None:
    client = signed_in("view_operations")
    page = client.get(f"{HOME}?q=x&p=2", headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="ops-live" hx-get="/admin/maintenance/operations/?q=x&amp;p=2"')
    assert "<html" not in page
    assert "?q=x&amp;p=2&amp;refresh=off" in page
    assert "hx-get" not in shown(client, "?refresh=off")


def fill(number: int) -> None:
    zones = [CrontabSchedule.objects.create(minute=str(minute), timezone="Europe/Berlin") for minute in range(20)]
    for row in range(number):
        schedule(f"s{row:03}", interval=None, crontab=zones[row % 20])
        result(f"ok{row}", periodic_task_name=f"s{row:03}", ago=timedelta(minutes=row))
        failure(f"bad{row}", task_name=f"app.tasks.t{row % 30}", ago=timedelta(minutes=row))


def test_the_number_of_queries_does_not_grow(backup: Manifest) -> None:
    client = signed_in(superuser=True)
    counts = []
    for number in (20, 60):
        PeriodicTask.objects.all().delete()
        TaskResult.objects.all().delete()
        fill(number)
        page_module.forget()
        with CaptureQueriesContext(connection) as queries:
            shown(client)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 30


def test_every_tick_and_bar_is_in_the_page_and_in_words() -> None:
    schedule("hourly", last_run_at=timezone.now())
    result("one", periodic_task_name="hourly", ago=timedelta(hours=2))
    failure("two", periodic_task_name="hourly", ago=timedelta(hours=1))
    page = shown(signed_in("view_operations"))
    assert page.count('class="ops-bar-ok" x=') == 2  # the timeline's and the hour's
    assert "SUCCESS: 1 run, 2.0 s" in page
    assert "hourly: 1 succeeded, 1 failed; 12 to come." in page
    found = re.search(r'class="ops-tick"[^>]* d="([^"]*)"', page)
    assert found is not None
    assert found[1].count("M") == 12
    assert " style=" not in page
    assert "<style" not in page
    assert not re.search(r"<script(?! src=| id=)", page)


# --- A broker or a storage that does not answer


def test_a_silent_broker_is_named_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule("nightly")
    client = signed_in("view_operations", "run_operations")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(app.conf, "broker_url", f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.monotonic()
        assert "redis://:**@127.0.0.1:" in shown(client)
        answer = client.post(f"{HOME}disable/", {"object": "nightly"}, follow=True).content.decode()
        assert time.monotonic() - started < 60  # a hang would be the 300 s of this test
    assert "The broker redis://:**@127.0.0.1:" in answer
    assert "is unavailable: " in answer
    assert "secret" not in answer
    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize("action", ["run", "enable", "disable", "reset"])
def test_a_broker_that_is_down_is_a_line(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    schedule("nightly")
    client = signed_in("view_operations", "run_operations")
    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    answer = client.post(f"{HOME}{action}/", {"object": "nightly"}, follow=True)
    assert answer.redirect_chain == [(HOME, 302)]
    assert re.search(r'class="error">The broker redis://127.0.0.1:1/0 is unavailable: ', answer.content.decode())
    assert LogEntry.objects.count() == 0


def test_a_storage_that_fails_is_a_line(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "file" / "backups"}}
    client = signed_in(superuser=True)
    assert re.search(r"Could not ask: .*Not a directory", shown(client))
    answer = client.post(f"{HOME}verify/", {"object": "x"}, follow=True).content.decode()
    assert "The backups&#x27; storage is unavailable: " in answer


def test_wrong_settings_are_a_line(settings: Any) -> None:
    settings.MAINTENANCE = {"BACKUPS": {"DESTINATION": "x"}}
    assert "Unknown key &#x27;DESTINATION&#x27;" in shown(signed_in("view_operations"))


# --- Acting


@pytest.mark.parametrize(
    ("action", "sent"),
    [
        ("run", ("app.tasks.add", [1])),
        ("enable", ("maintenance.switch_schedule", ["a/ü?&<b>", True])),
        ("disable", ("maintenance.switch_schedule", ["a/ü?&<b>", False])),
        ("reset", ("maintenance.reset_schedule", ["a/ü?&<b>"])),
    ],
)
def test_a_schedules_actions_ask_then_enqueue_a_task_and_are_noted(outbox: Any, action: str, sent: Any) -> None:
    row = schedule("a/ü?&<b>", args="[1]", enabled=action != "enable")
    client = signed_in("view_operations", "run_operations")
    url = re.search(rf'href="({HOME}{action}/[^"]*)"', shown(client))
    assert url is not None
    question = client.get(url[1].replace("&amp;", "&"))
    assert question.status_code == 200
    assert "“a/ü?&amp;&lt;b&gt;”" in question.content.decode()
    assert outbox() == []
    answer = client.post(f"{HOME}{action}/", {"object": row.name})
    assert (answer.status_code, answer.headers["Location"]) == (302, HOME)
    ((task, args, headers),) = outbox()
    assert (task, args) == sent
    noted = LogEntry.objects.get()
    assert noted.get_edited_object() == row
    assert (noted.user.get_username(), noted.object_repr) == ("somebody", row.name)
    assert f"(task {headers['id']})" in noted.change_message
    row.refresh_from_db()
    assert row.enabled is (action != "enable")  # it is the task that does it


def test_run_now_sends_as_beat_does(outbox: Any) -> None:
    schedule("nightly", headers='{"tenant": 7}', enabled=False)
    signed_in("view_operations", "run_operations").post(f"{HOME}run/", {"object": "nightly"})
    ((_, _, headers),) = outbox()
    assert (headers["periodic_task_name"], headers["tenant"]) == ("nightly", 7)


def test_nothing_is_done_without_the_csrf_token(outbox: Any) -> None:
    schedule("nightly")
    client = signed_in("view_operations", "run_operations", enforce_csrf_checks=True)
    assert client.post(f"{HOME}run/", {"object": "nightly"}).status_code == 403
    assert outbox() == []


@pytest.mark.parametrize(
    ("action", "object_id"),
    [
        *((action, name) for action in ("run", "enable", "disable", "reset") for name in ("nobody", "", "1", "\0")),
        *((action, name) for action in ("verify", "download") for name in ("latest", "", "../../etc/passwd", "\0")),
        *(("retry", name) for name in ("well", "nightly", "", "\0")),
        ("explode", "nightly"),
    ],
)
def test_what_is_not_there_is_not_found(outbox: Any, backup: Manifest, action: str, object_id: str) -> None:
    schedule("nightly")
    result("well")
    failure("lost")
    client = signed_in(superuser=True)
    assert client.get(f"{HOME}{action}/", {"object": object_id}).status_code == 404
    assert client.post(f"{HOME}{action}/", {"object": object_id}).status_code == 404
    assert outbox() == []
    assert LogEntry.objects.count() == 0


def test_a_failure_is_retried_by_a_task_once(outbox: Any) -> None:
    row = failure("lost")
    client = signed_in("view_operations", "run_operations")
    client.post(f"{HOME}retry/", {"object": "lost"})
    ((task, args, _),) = outbox()
    assert (task, args) == ("maintenance.retry_result", ["lost"])
    assert LogEntry.objects.get().get_edited_object() == row
    assert [each["id"] for each in tasks.retry_result.apply(args=args).get()["sent"]] == ["lost"]
    assert [(task, args) for task, args, _ in outbox()] == [("app.tasks.add", [1])]
    assert tasks.retry_result.apply(args=args).get() == {"sent": []}
    again = client.post(f"{HOME}retry/", {"object": "lost"}, follow=True).content.decode()
    assert "cannot be sent again: it was already, as " in again
    assert outbox() == []
    assert LogEntry.objects.count() == 1


def test_a_failure_without_its_arguments_is_refused(outbox: Any) -> None:
    failure("lost", task_args=None)
    client = signed_in("view_operations", "run_operations")
    answer = client.post(f"{HOME}retry/", {"object": "lost"}, follow=True).content.decode()
    assert "The task lost cannot be sent again: its arguments are not stored" in answer
    assert (outbox(), LogEntry.objects.count()) == ([], 0)


def test_a_backup_is_verified_by_a_task(outbox: Any, backup: Manifest) -> None:
    client = signed_in("view_operations", "run_operations")
    assert client.get(f"{HOME}verify/", {"object": backup.id}).status_code == 200
    client.post(f"{HOME}verify/", {"object": backup.id})
    ((task, args, headers),) = outbox()
    assert (task, args) == ("maintenance.verify_one_backup", [backup.id])
    noted = LogEntry.objects.get()
    assert noted.change_message == f"Operations: Verify (task {headers['id']})."
    assert noted.object_repr == f"{backup.id} of archive"
    (proof,) = tasks.verify_one_backup.apply(args=args).get()["backups"]
    assert (proof["id"], proof["ok"], proof["level"]) == (backup.id, True, "restore")
    page_module.forget()
    assert re.search(r"restore, \d+s ago", shown(client))


def test_a_superuser_downloads_what_is_stored(outbox: Any, backup: Manifest, tmp_path: Path) -> None:
    client = signed_in(superuser=True)
    answer: Any = client.post(f"{HOME}download/", {"object": backup.id})
    assert answer.streaming
    assert b"".join(answer.streaming_content) == (tmp_path / "backups" / backup.file).read_bytes()
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{backup.file}"'
    answer.close()
    assert LogEntry.objects.get().change_message == "Operations: Download."
    assert outbox() == []


def test_a_file_that_is_gone_is_a_line(backup: Manifest, tmp_path: Path) -> None:
    client = signed_in(superuser=True)
    shown(client)  # what is there is known for a moment
    (tmp_path / "backups" / backup.file).unlink()
    answer = client.post(f"{HOME}download/", {"object": backup.id}, follow=True)
    assert "No such file" in answer.content.decode()
    assert LogEntry.objects.count() == 0


# --- What the tasks do


def marked() -> Any:
    return PeriodicTasks.last_change()


def test_a_schedule_is_disabled_and_enabled_without_catching_up() -> None:
    off, on = ("hourly", False), ("hourly", True)
    last = timezone.now() - timedelta(hours=5)
    schedule("hourly", last_run_at=last)
    before = marked()
    assert tasks.switch_schedule.apply(args=off).get() == {"enabled": False, "changed": True}
    assert marked() > before
    then = marked()
    assert tasks.switch_schedule.apply(args=off).get() == {"enabled": False, "changed": False}
    assert marked() == then
    assert tasks.switch_schedule.apply(args=on).get() == {"enabled": True, "changed": True}
    row = PeriodicTask.objects.get(name="hourly")
    assert (row.enabled, row.last_run_at) == (True, None)
    assert timezone.now() - row.date_changed < timedelta(minutes=1)


def test_a_schedule_that_missed_nothing_keeps_its_rhythm() -> None:
    last = timezone.now() - timedelta(minutes=5)
    schedule("hourly", last_run_at=last)
    PeriodicTask.objects.filter(name="hourly").update(enabled=False)  # its save() forgets the last run
    tasks.switch_schedule.apply(args=("hourly", True)).get()
    assert PeriodicTask.objects.get(name="hourly").last_run_at == last


def test_a_reset_forgets_one_last_run() -> None:
    for name in ("one", "two"):
        schedule(name, last_run_at=timezone.now())
    assert tasks.reset_schedule.apply(args=("one",)).get() == {"reset": 1}
    assert dict(PeriodicTask.objects.filter(name__in=("one", "two")).values_list("name", "last_run_at"))["one"] is None
    assert PeriodicTask.objects.get(name="two").last_run_at is not None


@pytest.mark.parametrize("task", [tasks.switch_schedule, tasks.reset_schedule, tasks.retry_result])
def test_who_asks_waits_its_turn_and_survives_its_worker(task: Any) -> None:
    assert (task.acks_late, task.reject_on_worker_lost, task.max_retries) == (True, True, 5)
    assert 0 < task.soft_time_limit < task.time_limit < 3600
