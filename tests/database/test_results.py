"""Results that are listed, measured and sent again, and the backend that stores what this takes."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest
from celery import Celery
from celery.app.task import Context
from celery.utils.saferepr import saferepr
from django.utils import timezone
from django_celery_results.models import TaskResult
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from maintenance.results import backend, resend, stats
from maintenance.results.backend import DatabaseBackend
from maintenance.results.stats import Times
from maintenance.sent import HEADER
from tests.celery import app as project_app
from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
NOW = timezone.now()


@pytest.fixture
def app() -> Celery:
    own = Celery("own", set_as_current=False)
    own.conf.update(result_extended=True, broker_url="memory://", result_backend=f"{backend.__name__}:DatabaseBackend")
    own.conf.task_queues = [Queue("celery"), Queue("heavy", Exchange("work", type="topic"), routing_key="work.heavy")]
    return own


def request(**given: Any) -> Context:
    args, kwargs = given.setdefault("args", [1, "two"]), given.setdefault("kwargs", {"three": 3})
    shown = {"argsrepr": saferepr(tuple(args), 1024), "kwargsrepr": saferepr(kwargs, 1024)}
    return Context({"id": "an id", "task": "app.tasks.add", **shown, **given})


def store(app: Celery, asked: Context, status: str = "FAILURE", result: Any = None) -> TaskResult:
    assert isinstance(app.backend, DatabaseBackend)
    app.backend.store_result(asked.id, result or ValueError("no such order"), status, request=asked)
    return TaskResult.objects.get(task_id=asked.id)


def test_arguments_are_stored_as_they_were_and_celery_reads_them(app: Celery) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    asked = request(args=[1, "two", [3, {"four": None}], now, "x" * 2000], kwargs={"k": "ü"})
    row = store(app, asked)
    assert resend._arguments(row.task_args, list) == asked.args
    assert resend._arguments(row.task_kwargs, dict) == {"k": "ü"}
    known = app.AsyncResult("an id")
    assert (known.args, known.kwargs, known.queue, known.retries) == (asked.args, {"k": "ü"}, None, 0)


def test_what_the_task_changes_in_its_arguments_is_not_stored(app: Celery) -> None:
    asked = request(args=[[1]])
    store(app, asked, "STARTED", {"pid": 1})
    next(iter(asked.args or ())).append(2)
    assert resend._arguments(store(app, asked).task_args, list) == [[1]]


def test_what_the_sender_hides_stays_hidden(app: Celery) -> None:
    row = store(app, request(args=["secret"], argsrepr="('***',)"))
    assert (row.task_args, row.task_kwargs) == ("\"('***',)\"", '{"three": 3}')
    row = store(app, request(id="large", args=["x" * 70_000]))
    assert len(row.task_args or "") < 2000


@pytest.mark.parametrize("args", [[], [1], [(1, 2)], [[1], [2]], [{"a": (1,)}]])
def test_tuples_that_became_lists_are_not_taken_for_hidden(app: Celery, args: list[Any]) -> None:
    asked = request(args=json.loads(json.dumps(args)), argsrepr=saferepr(tuple(args), 1024))
    assert (store(app, asked).task_args or "").startswith("[")


@pytest.mark.parametrize(
    ("delivery", "queue"),
    [
        ({"exchange": "", "routing_key": "celery"}, "celery"),
        ({"exchange": "work", "routing_key": "work.heavy"}, "heavy"),
        ({"exchange": "work", "routing_key": "work.other"}, None),
        (None, None),
    ],
)
def test_the_queue_and_the_time_of_sending_are_stored(app: Celery, delivery: Any, queue: str | None) -> None:
    eta = (NOW + timedelta(hours=1)).isoformat()
    stamp = {HEADER: NOW.timestamp()}
    meta = json.loads(store(app, request(delivery_info=delivery, retries=2, **stamp)).meta or "")
    assert meta == {
        "children": [],
        "retries": 2,
        "ready_at": NOW.timestamp(),
        **({"queue": queue} if queue else {}),
    }
    later = json.loads(store(app, request(eta=eta, **stamp)).meta or "")
    assert later["ready_at"] == pytest.approx(NOW.timestamp() + 3600)


def test_without_extended_results_nothing_is_added(app: Celery) -> None:
    app.conf.result_extended = False
    row = store(app, request())
    assert (row.task_args, row.meta) == (None, '{"children": []}')


def failure(name: str, *, age: timedelta = timedelta(), **given: Any) -> TaskResult:
    facts = {"task_name": "celery.accumulate", "status": "FAILURE", "task_args": "[1]", "task_kwargs": "{}"}
    row = TaskResult.objects.create(task_id=name, **{**facts, "meta": '{"children": []}', **given})
    TaskResult.objects.filter(pk=row.pk).update(date_done=NOW - age)
    return row


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    def send(task: Any, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        found.append((task.name, args, kwargs, options))

    monkeypatch.setattr("celery.app.task.Task.apply_async", send)
    return found


def test_a_failure_is_sent_again_once(run: Run, sent: list[Any]) -> None:
    failure("one", meta='{"children": [], "queue": "celery"}')
    out, err, code = run("retry_results", "one", "--json")
    document = json.loads(out)
    assert (err, code, document["refused"], document["already"]) == ("", 0, [], {})
    ((name, args, kwargs, options),) = sent
    assert (name, args, kwargs, options) == ("celery.accumulate", (1,), {}, {"task_id": ANY, "queue": "celery"})
    again = options["task_id"]
    assert document["sent"] == [{"id": "one", "task": "celery.accumulate", "sent_as": again}]
    assert json.loads(TaskResult.objects.get().meta or "") == {"children": [], "queue": "celery", "retried_as": again}
    words = f"one: it was sent again as {again}; --force sends it once more.\n"
    assert run("retry_results", "one") == ("Sent 0 tasks again.\n", words, 0)
    assert len(sent) == 1
    out, err, code = run("retry_results", "one", "--force")
    assert (out, err, code) == (
        f"one celery.accumulate sent as {sent[1][3]['task_id']}\nSent 1 task again.\n",
        "",
        0,
    )


def test_when_it_fails_again_under_its_id_it_may_be_sent_again(run: Run, sent: list[Any]) -> None:
    failure("one")
    run("retry_results", "one")
    TaskResult.objects.update(meta='{"children": []}', date_done=NOW + timedelta(minutes=1))
    assert run("retry_results", "one")[2] == 0
    assert len(sent) == 2


def test_two_operators_send_it_once(sent: list[Any]) -> None:
    failure("one")
    plans = [resend.plan(resend.by_id(["one"]), app=project_app) for _ in range(2)]
    done = [resend.send(plan, app=project_app, tell=lambda each: None) for plan in plans]
    assert [len(each) for each in done] == [1, 0]
    assert len(sent) == 1


REPR = (
    "of its arguments only the repr is stored, which may show less than they were. "
    'Set CELERY_RESULT_BACKEND = "maintenance.results.backend:DatabaseBackend" for those to come.'
)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"task_args": '"(1,)"'}, REPR),
        ({"task_kwargs": '"{}"'}, REPR),
        ({"task_args": "gASVBAAAAAAAAABdlC4="}, "its arguments are not stored as JSON"),
        ({"task_name": None}, "its name is not stored: CELERY_RESULT_EXTENDED was off"),
        ({"status": "SUCCESS"}, "it did not fail: it is SUCCESS"),
        ({"meta": "gASVBAAAAAAAAABdlC4="}, "it is not stored as JSON"),
    ],
)
def test_what_is_not_faithfully_stored_is_refused(run: Run, sent: list[Any], given: Any, reason: str) -> None:
    failure("one", **given)
    name = given.get("task_name", "celery.accumulate") or "(no name)"
    err = f"one {name}: {reason}\nCommandError: 1 result cannot be sent again. The lines above say why.\n"
    assert run("retry_results", "one") == ("Sent 0 tasks again.\n", err, 1)
    assert sent == []


def test_in_bulk_it_asks_first(run: Run, sent: list[Any]) -> None:
    failure("old", age=timedelta(hours=25))
    failure("young", age=timedelta(hours=23))
    failure("other", task_name="celery.chord")
    flags = ["--failed", "--task", "celery.acc*", "--since=24h"]
    dry = "young celery.accumulate to its usual queue\nWould send 1 task again.\n"
    assert run("retry_results", *flags, "--dry-run") == (dry, "", 0)
    assert run("retry_results", *flags)[2] == 4
    assert sent == []
    assert run("retry_results", *flags, "--noinput")[2] == 0
    assert len(sent) == 1


def test_without_the_broker_nothing_is_marked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("Connection refused")

    monkeypatch.setattr("celery.app.task.Task.apply_async", refuse)
    row = failure("one")
    err = (
        "CommandError: The broker is unavailable: Connection refused. Until then 0 were sent again. "
        "Run it again when it is back: nothing is sent twice.\n"
    )
    assert run("retry_results", "one") == ("", err, 69)
    assert TaskResult.objects.get().meta == row.meta


def test_ids_that_are_not_there_and_a_call_without_any_are_refused(run: Run) -> None:
    err = "CommandError: There are no results of these tasks: 'x'. `manage.py list_results --failed` shows the ids.\n"
    assert run("retry_results", "x") == ("", err, 1)
    usage = "CommandError: Pass task ids, or --failed (with --task and --since).\n"
    assert run("retry_results") == ("", usage, 2)
    assert run("retry_results", "x", "--failed") == ("", usage, 2)


def test_results_are_listed_newest_first(run: Run, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    error = '{"exc_type": "ValueError", "exc_message": ["no such\\norder"], "exc_module": "builtins"}'
    started = NOW - timedelta(hours=1, seconds=1.5)
    failure("failed", age=timedelta(hours=1), result=error, date_started=started, periodic_task_name="nightly")
    failure("done", age=timedelta(hours=2), status="SUCCESS", task_name=None)
    first, second = (f"{NOW - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}" for hours in (1, 2))
    one = f"{first}  FAILURE      1.5s  celery.accumulate  failed  ValueError: no such order\n"
    two = f"{second}  SUCCESS         -  (no name)  done\n"
    assert run("list_results") == (one + two, "", 0)
    for flags in (["--failed"], ["--task", "celery.*"], ["--since=90m"], ["--schedule=nightly"], ["--limit=1"]):
        assert run("list_results", *flags) == (one, "", 0)
    assert run("list_results", "--schedule=other") == ("No results.\n", "", 0)
    document = json.loads(run("list_results", "--failed", "--json")[0])
    assert document == {
        "schema_version": 1,
        "results": [
            {
                "id": "failed",
                "task": "celery.accumulate",
                "status": "FAILURE",
                "at": (NOW - timedelta(hours=1)).isoformat(),
                "seconds": 1.5,
                "schedule": "nightly",
                "worker": None,
                "error": "ValueError: no such order",
            }
        ],
    }


def test_stats_by_task(run: Run) -> None:
    for number in range(1, 101):
        started = NOW - timedelta(minutes=1)
        row = failure(
            f"{number}",
            status="FAILURE" if number > 90 else "SUCCESS",
            date_started=started,
            meta=json.dumps({"retries": number % 2, "ready_at": started.timestamp() - number}),
        )
        TaskResult.objects.filter(pk=row.pk).update(date_done=started + timedelta(seconds=number / 10))
    failure("retrying", status="RETRY", meta='{"retries": 5}')
    failure("started", status="STARTED")
    failure("untracked", task_name="other", meta=None, status="SUCCESS")
    failure("old", age=timedelta(hours=25), task_name="old")
    found = stats.read(since=NOW - timedelta(hours=24))
    assert [each.task for each in found] == ["celery.accumulate", "other"]
    many, other = found
    assert (many.runs, many.failures, many.retries) == (100, 10, 55)
    assert list(asdict(many.duration).values()) == pytest.approx([5, 9.5, 10], rel=0.01)
    assert list(asdict(many.wait).values()) == pytest.approx([50, 95, 100], rel=0.01)
    assert (other.runs, other.failures, other.duration, other.wait) == (
        1,
        0,
        Times(None, None, None),
        Times(None, None, None),
    )
    out, err, code = run("result_stats")
    assert (err, code) == ("", 0)
    head = "Task                   Runs    Failed   Retries       p50       p95       max  Wait p50       p95       max"
    assert out.splitlines()[0] == head
    assert out.splitlines()[2] == "other" + 12 * " " + "         1         0         0" + 6 * "         -"
    assert json.loads(run("result_stats", "--json")[0])["tasks"][1]["runs"] == 1
    assert run("result_stats", "--since=0s") == ("No results of the last 0s.\n", "", 0)
