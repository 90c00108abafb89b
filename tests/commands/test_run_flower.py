"""manage.py run_flower"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome

Run = Callable[..., Outcome]
KEPT = (
    f"--persistent=True --db={Path('var/flower').resolve()} --state_save_interval=60000 --max_tasks=10000 "
    "--purge_offline_workers=300"
)


@pytest.fixture(autouse=True)
def _no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)


def test_a_dry_run_prints_the_plan(run: Run) -> None:
    assert run("run_flower", "--dry-run") == (
        "Flower of tests at http://127.0.0.1:5555/ for everybody on this machine\n"
        f"$ {sys.executable} -m celery -A tests flower --address=127.0.0.1 --port=5555 {KEPT}\n",
        "",
        0,
    )


def test_with_credentials_it_may_listen_anywhere_and_shows_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "ann:s3cret")
    assert run("run_flower", "--address=0.0.0.0", "--port=8080", "--basic-auth", "--dry-run") == (
        "Flower of tests at http://0.0.0.0:8080/ for who knows a password in FLOWER_BASIC_AUTH\n"
        f"$ {sys.executable} -m celery -A tests flower --address=0.0.0.0 --port=8080 {KEPT}\n",
        "",
        0,
    )


def test_it_is_never_open_to_the_world(run: Run) -> None:
    assert run("run_flower", "--address=0.0.0.0") == (
        "",
        "CommandError: Flower would listen on '0.0.0.0' without a password: "
        "whoever reaches it could stop your workers. "
        "Set FLOWER_BASIC_AUTH=USER:PASSWORD and pass --basic-auth, or leave --address at 127.0.0.1.\n",
        4,
    )


@pytest.mark.parametrize("flag", [["--basic-auth=ann:s3cret"], ["--basic-auth", "ann:s3cret"]])
def test_a_password_on_the_command_line_is_refused(run: Run, flag: list[str]) -> None:
    assert run("run_flower", *flag) == (
        "",
        "CommandError: --basic-auth takes no value: every user of this machine can read a command line. "
        "Put USER:PASSWORD into the environment variable FLOWER_BASIC_AUTH and pass --basic-auth alone.\n",
        2,
    )


def test_without_credentials_in_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    assert run("run_flower", "--basic-auth") == (
        "",
        "CommandError: --basic-auth finds no USER:PASSWORD in the environment variable 'FLOWER_BASIC_AUTH'. "
        "Set FLOWER_BASIC_AUTH=USER:PASSWORD (several, separated by commas).\n",
        2,
    )


def test_a_hosts_port_is_honoured_and_a_flag_wins(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8123")
    assert "http://127.0.0.1:8123/ " in run("run_flower", "--dry-run")[0]
    assert "http://127.0.0.1:99/ " in run("run_flower", "--port=99", "--dry-run")[0]
    monkeypatch.setenv("PORT", "http")
    assert run("run_flower") == ("", "CommandError: PORT: 'http' is not a port from 1 to 65535.\n", 2)


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_is_a_port(run: Run, port: str) -> None:
    assert run("run_flower", f"--port={port}") == (
        "",
        f"CommandError: argument --port: {port!r} is not a port from 1 to 65535.\n",
        2,
    )
