"""Programs as values: argv, environment, redaction, and children that die with us."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from maintenance import process


def test_a_commands_environment_is_ours_plus_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"PATH": "/bin", "A": "1"})
    command = process.Command(args=("/bin/true",), env={"A": "2"}, secrets={"PGPASSWORD": "hunter2"})
    assert command.environment() == {"PATH": "/bin", "A": "2", "PGPASSWORD": "hunter2"}
    assert "hunter2" not in repr(command)


def test_secrets_are_redacted_longest_first() -> None:
    assert process.redact("pw and pw-long", ["pw", "", "pw-long"]) == "** and **"


def test_supervising_returns_the_childs_exit_code_and_restores_the_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert process.supervise(process.Command((sys.executable, "-c", "raise SystemExit(7)"))) == 7
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_signal_reaches_a_supervised_child() -> None:
    script = textwrap.dedent(
        """
        import sys
        from maintenance import process
        child = "import signal, sys; signal.signal(signal.SIGTERM, lambda *a: sys.exit(9)); "
        child += "print('up', flush=True); signal.pause()"
        sys.exit(process.supervise(process.Command((sys.executable, "-c", child))))
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(10) == 9


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_child_dies_with_a_killed_parent() -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from maintenance import process
        child = process.start(process.Command((sys.executable, "-c", "import time; time.sleep(60)")), dies_with_us=True)
        print(child.pid, flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        deadline = time.monotonic() + 5
        while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:  # noqa: PTH110
            time.sleep(0.02)
        assert not os.path.exists(f"/proc/{child}")  # noqa: PTH110


def test_a_child_imports_what_manage_py_imports_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manage.py").touch()
    monkeypatch.setattr("__main__.__file__", str(tmp_path / "manage.py"), raising=False)
    monkeypatch.setenv("PYTHONPATH", "/else")
    assert process.Command(args=()).environment()["PYTHONPATH"] == os.pathsep.join([str(tmp_path), "/else"])
    monkeypatch.chdir(tmp_path)
    assert process.Command(args=()).environment()["PYTHONPATH"] == "/else", "python -m finds the current folder itself"
