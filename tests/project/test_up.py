"""make up's own parts: its port, its processes, and the development superuser."""

import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from pytest_django import Settings

from opsproject import up

Run = Callable[..., tuple[str, str, int]]


@pytest.mark.parametrize("wrong", ["0", "65536", "-1", "http", "８０００", "80.5"])
def test_a_port_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(up.CannotStart) as refused:
        up.choose_port(wrong)
    assert str(refused.value) == f"PORT={wrong!r} is not a port. Write a number from 1 to 65535."


def test_a_port_in_use_is_told_before_anything_starts() -> None:
    with socket.create_server((up.HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(up.CannotStart) as refused:
            up.choose_port(str(port))
    assert str(refused.value) == (
        f"Port {port} cannot be used: Address already in use. Stop what uses it, or run `make up PORT=8001`."
    )
    assert up.choose_port(str(port)) == port


def test_honcho_runs_this_python_and_reads_no_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/elsewhere")
    command = up.processes(8123)
    assert command.args == (
        *(sys.executable, "-m", "honcho", "-e", os.devnull),
        *("start", "-f", "Procfile.dev", "-p", "8123"),
    )
    assert command.env == {"PATH": f"{Path(sys.executable).parent}{os.pathsep}/elsewhere", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def var(tmp_path: Path, settings: Settings) -> Path:
    """VAR_DIR of one test, in DEBUG (which the test runner switches off)."""
    settings.VAR_DIR = tmp_path / "var"
    settings.DEBUG = True
    return tmp_path / "var"


@pytest.mark.django_db
def test_a_superuser_is_created_once_and_the_way_in_is_told_each_time(run: Run, var: Path) -> None:
    way = f"Sign in as 'admin' with the password in '{var / 'dev-superuser'}'.\n"
    assert run("dev_superuser") == (f"A superuser was created. {way}", "", 0)
    assert run("dev_superuser") == (way, "", 0)
    assert stat.S_IMODE((var / "dev-superuser").stat().st_mode) == 0o600
    user = get_user_model().objects.get(is_superuser=True)
    assert user.check_password((var / "dev-superuser").read_text().strip())


OWN = "Sign in as your own superuser (`manage.py changepassword` gives it a new password).\n"


@pytest.mark.django_db
def test_no_superuser_is_created_beside_another(run: Run, var: Path) -> None:
    get_user_model().objects.create_superuser("eve")
    assert run("dev_superuser") == (OWN, "", 0)
    assert list(get_user_model().objects.values_list("username", flat=True)) == ["eve"]
    assert not var.exists()


@pytest.mark.django_db
def test_a_password_that_was_changed_is_not_told(run: Run, var: Path) -> None:
    run("dev_superuser")
    user = get_user_model().objects.get()
    user.set_password("another")
    user.save()
    assert run("dev_superuser") == (OWN, "", 0)


@pytest.mark.django_db
def test_no_superuser_is_created_without_debug(run: Run, var: Path, settings: Settings) -> None:
    settings.DEBUG = False
    assert run("dev_superuser") == (
        "",
        "CommandError: dev_superuser writes a password to a file, so it works with DEBUG only. "
        "Run `manage.py createsuperuser` instead.\n",
        4,
    )
    assert not get_user_model().objects.exists()


@pytest.mark.django_db
def test_no_superuser_is_created_when_its_password_cannot_be_kept(run: Run, var: Path) -> None:
    var.write_text("a file where the folder should be")
    out, err, code = run("dev_superuser")
    assert (out, code) == ("", 73)
    assert err == (
        f"CommandError: Cannot write '{var / 'dev-superuser'}': File exists. "
        "Make it writable for this user, or choose another place.\n"
    )
    assert not get_user_model().objects.exists()
