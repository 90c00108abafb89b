"""manage.py run_worker: its plan, its refusals, its exit codes."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from django.test import override_settings

from maintenance import process
from maintenance.worker import detect
from maintenance.worker.facts import Machine
from tests.celery import app as tests_app
from tests.conftest import Outcome

Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 4 CPUs and no limits."""

    def fixed(environ: Any, *, pool: str | None) -> Machine:
        return Machine(platform="linux", python="python", cpus=4, cpu_reason="4 CPUs available")

    monkeypatch.setattr(detect, "machine", fixed)


def test_a_dry_run_prints_the_plan_and_nothing_else(run: Run) -> None:
    assert run("run_worker", "--dry-run") == (
        "app          tests  (tests.celery beside the settings)\n"
        "pool         prefork  (Linux: processes use every CPU and honour every limit)\n"
        "concurrency  4  (4 CPUs available (the smallest limit))\n"
        "queues       celery  (all declared queues)\n"
        "memory       not limited  (no limit found)\n"
        "grace        30s, 25s of it for running tasks  "
        "(no known host: the usual time between SIGTERM and SIGKILL)\n"
        "$ python -m celery -A tests worker --pool processes --concurrency 4 --loglevel INFO "
        "--include maintenance.worker.runtime worker_soft_shutdown_timeout=25\n",
        "",
        0,
    )


def test_a_dry_run_in_json_is_one_document(run: Run) -> None:
    out, err, code = run("run_worker", "--dry-run", "--json", "-P", "threads", "-c", "2", "--", "-O", "fair")
    document = json.loads(out)
    assert (err, code) == ("", 0)
    assert next(iter(document)) == "schema_version"
    assert document == {
        "schema_version": 1,
        "pool": "threads",
        "concurrency": 2,
        "queues": ["celery"],
        "grace_seconds": 30.0,
        "max_memory_per_child_kib": None,
        "argv": [
            *("python", "-m", "celery", "-A", "tests", "worker", "--pool", "threads", "--concurrency", "2"),
            *("--loglevel", "INFO", "--include", "maintenance.worker.runtime", "-O", "fair"),
        ],
        "env": {
            "REMAP_SIGTERM": "",
            "CELERY_SKIP_CHECKS": "1",
            "MAINTENANCE_WORKER_WINDOW": "25",
        },
        "reasons": {
            "pool": "asked for by --pool",
            "concurrency": "asked for by -c",
            "queues": "all declared queues",
            "grace_seconds": "no known host: the usual time between SIGTERM and SIGKILL",
            "max_memory_per_child_kib": "no limit found",
        },
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--pool", "x"], "'x' is not a pool. Choose one of auto, prefork, threads, solo, eventlet, gevent."),
        (["-c", "0"], "Concurrency '0' is not a whole number from 1 up. Pass -c auto, or a number such as -c 4."),
        (["--grace", "soon"], "argument --grace: 'soon' is not a duration such as 30s, 5m, 2h or 7d."),
        (["--max-memory", "0"], "argument --max-memory: '0' is too small for a size."),
        (
            ["--profile", "heavy"],
            'Profile \'heavy\' is not declared. Declared: none. Add it to MAINTENANCE["WORKER"]["PROFILES"].',
        ),
        (
            ["-A", "nowhere"],
            "No Celery app was found (nowhere: No module named 'nowhere'). "
            'Pass -A package, or set MAINTENANCE["WORKER"]["APP"] = "package".',
        ),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(run: Run, args: list[str], message: str) -> None:
    assert run("run_worker", "--dry-run", *args) == ("", f"CommandError: {message}\n", 2)


def test_an_unknown_setting_is_one_line_and_exit_code_2(run: Run) -> None:
    with override_settings(MAINTENANCE={"WROKER": {}}):
        assert run("run_worker", "--dry-run") == (
            "",
            "CommandError: Unknown key 'WROKER' in MAINTENANCE. Did you mean 'WORKER'?\n",
            2,
        )


@pytest.fixture
def broker_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Celery]:
    """Point the tests' app at another broker."""

    def point(url: str) -> Celery:
        monkeypatch.setattr(tests_app.conf, "broker_url", url)
        return tests_app

    return point


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A server that accepts TCP and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_silent_broker_is_exit_code_69_and_not_a_hang(
    run: Run, broker_at: Callable[[str], Celery], silent_server: int, scheme: str
) -> None:
    broker_at(f"{scheme}://user:secret@127.0.0.1:{silent_server}/0")
    started = time.monotonic()
    out, err, code = run("run_worker", "-v", "0", "--broker-wait", "0")
    assert time.monotonic() - started < 20, "that is a hang: unhurried it takes 3 s"
    assert (out, code) == ("", 69)
    assert err.startswith(
        f"CommandError: The broker at {scheme}://user:**@127.0.0.1:{silent_server}/0 does not answer: "
    )
    assert "secret" not in err
    assert err.count("\n") == 1


def test_a_refusing_broker_is_waited_for(run: Run, broker_at: Callable[[str], Celery]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    broker_at(f"redis://127.0.0.1:{port}/0")
    out, err, code = run("run_worker", "--broker-wait", "1")
    lines = err.splitlines()
    assert (out, code) == ("", 69)
    assert lines[-2].startswith(f"Waiting up to 1s for the broker at redis://127.0.0.1:{port}/0 (")
    assert lines[-1].startswith(f"CommandError: The broker at redis://127.0.0.1:{port}/0 does not answer: ")


def test_the_worker_replaces_this_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[tuple[str, tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr("maintenance.broker.wait", lambda app, **options: None)
    monkeypatch.setattr("maintenance.broker.alone", lambda app: False)
    monkeypatch.setattr("os.execve", lambda path, args, env: replaced.append((path, args, env)))
    run("run_worker", "-v", "0", "-c", "2")
    (path, args, env) = replaced[0]
    assert (path, args[1:5]) == ("python", ("-m", "celery", "-A", "tests"))
    assert env["REMAP_SIGTERM"] == "SIGQUIT"


def test_on_windows_the_worker_is_a_child_whose_exit_code_is_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maintenance.host.platform", lambda: "win32")
    monkeypatch.setattr("maintenance.broker.wait", lambda app, **options: None)
    monkeypatch.setattr(
        "maintenance.worker.launch.command",
        lambda plan: process.Command((sys.executable, "-c", "raise SystemExit(3)")),
    )
    assert run("run_worker", "-v", "0") == ("", "", 3)
