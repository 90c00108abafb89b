"""The probe: what a heartbeat file amounts to, and that reading it is quick."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maintenance import heartbeat, probe
from maintenance.heartbeat import Heart

HOST = os.uname().nodename


@pytest.fixture
def heart(tmp_path: Path) -> Heart:
    return Heart(str(tmp_path / "worker-heavy@here"))


def asked(folder: Path, *argv: str) -> tuple[int, str]:
    return probe.main(list(argv), {heartbeat.VARIABLE: str(folder)})


def aged(heart: Heart, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(heart.path, (then, then))


def test_it_is_alive_until_it_has_been_silent_for_too_long(tmp_path: Path, heart: Heart) -> None:
    heart.beat()
    assert asked(tmp_path, "worker") == (0, "alive: worker-heavy@here\n")
    aged(heart, 58)
    assert asked(tmp_path, "worker") == (0, "alive: worker-heavy@here\n")
    aged(heart, 62)
    assert asked(tmp_path, "worker") == (1, "stuck: worker-heavy@here has been silent for 62s\n")
    assert asked(tmp_path, "worker", "--max-age=70")[0] == 0
    heart.beat()
    assert asked(tmp_path, "worker")[0] == 0


def test_a_heartbeat_from_the_future_does_not_beat(tmp_path: Path, heart: Heart) -> None:
    heart.beat()
    aged(heart, -3600)
    assert asked(tmp_path, "worker")[0] == 1


def test_a_busy_one_is_alive_until_its_limit(tmp_path: Path, heart: Heart) -> None:
    heart.busy(100)
    aged(heart, 90)
    assert asked(tmp_path, "worker", "--max-age", "5")[0] == 0
    heart.busy(-1)
    aged(heart, 90)
    assert asked(tmp_path, "worker")[0] == 1
    heart.idle()
    assert asked(tmp_path, "worker")[0] == 0


def test_readiness_is_another_question_than_life(tmp_path: Path, heart: Heart) -> None:
    heart.ready(False)
    assert asked(tmp_path, "worker")[0] == 0
    assert asked(tmp_path, "worker", "--ready") == (1, "not ready: worker-heavy@here is not connected to the broker\n")
    heart.ready(True)
    assert asked(tmp_path, "worker", "--ready")[0] == 0
    aged(heart, 61)
    assert asked(tmp_path, "worker", "--ready")[0] == 1


def test_no_heartbeat_is_neither(tmp_path: Path, heart: Heart) -> None:
    nothing = f"no heartbeat: no {{}} runs here, or it writes to another folder than {tmp_path}\n"
    assert asked(tmp_path, "worker") == (2, nothing.format("worker"))
    assert asked(tmp_path / "absent", "beat")[0] == 2
    heart.beat()
    assert asked(tmp_path, "beat") == (2, nothing.format("beat"))
    assert asked(tmp_path, "worker", "--name", "default") == (2, nothing.format("worker default"))
    heart.end()
    assert asked(tmp_path, "worker")[0] == 2
    heart.beat()
    assert asked(tmp_path, "worker")[0] == 2, "nothing is written after the end"


def test_a_name_is_a_node_name_with_or_without_its_host(tmp_path: Path, heart: Heart) -> None:
    heart.beat()
    other = Heart(str(tmp_path / "worker-heavier@here"))
    other.beat()
    aged(other, 100)
    assert asked(tmp_path, "worker", "--name", "heavy")[0] == 0
    assert asked(tmp_path, "worker", "--name=heavy@here")[0] == 0
    assert asked(tmp_path, "worker", "--name=heav")[0] == 2
    assert asked(tmp_path, "worker")[0] == 1, "any stale one"


def written(path: Path, **facts: object) -> None:
    path.write_text("".join(f"{key}={value}\n" for key, value in facts.items()))
    os.utime(path, (0, 0))


def test_what_a_dead_process_left_is_no_stuck_one(tmp_path: Path, heart: Heart) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    written(tmp_path / "worker-dead", pid=ended.pid, host=HOST)
    assert asked(tmp_path, "worker")[0] == 2
    written(tmp_path / "worker-again", pid=os.getpid(), born=1, host=HOST)  # another process got its number
    assert asked(tmp_path, "worker")[0] == 2
    written(tmp_path / "worker-elsewhere", pid=os.getpid(), host="another")  # a shared folder
    assert asked(tmp_path, "worker")[0] == 2
    heart.beat()
    assert asked(tmp_path, "worker") == (0, "alive: worker-heavy@here\n")


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        written(tmp_path / "worker-zombie", pid=child.pid, host=HOST)
        assert asked(tmp_path, "worker")[0] == 2
    finally:
        child.wait()


@pytest.mark.parametrize("content", ["", "no facts at all", "pid=x\nsilent_until=soon\nborn=\n", "\x00\xff=\n=\n"])
def test_a_file_that_makes_no_sense_counts_by_its_age(tmp_path: Path, content: str) -> None:
    (tmp_path / "worker-odd").write_bytes(content.encode("latin-1"))
    assert asked(tmp_path, "worker")[0] == 0
    os.utime(tmp_path / "worker-odd", (0, 0))
    assert asked(tmp_path, "worker")[0] == 1


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    assert heartbeat.file_name("worker", "../../etc/x y@host") == "worker-.._.._etc_x_y@host"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "say worker or beat"),
        (["web"], "'web' is not known here"),
        (["worker", "beat"], "'beat' is not known here"),
        (["worker", "--max-age"], "--max-age needs a value"),
        (["worker", "--max-age=soon"], "--max-age 'soon' is not a number of seconds"),
        (["worker", "--max-age", "0"], "--max-age '0' is not a number of seconds"),
        (["worker", "--max-age", "inf"], "--max-age 'inf' is not a number of seconds"),
        (["worker", "--verbose"], "'--verbose' is not known here"),
    ],
)
def test_wrong_flags(tmp_path: Path, argv: list[str], problem: str) -> None:
    assert asked(tmp_path, *argv) == (2, f"{probe.USAGE}\nprobe: {problem}.\n")


def test_as_a_program_it_imports_neither_django_nor_celery(tmp_path: Path, heart: Heart) -> None:
    heart.beat()
    code = (
        "import os, runpy, sys\n"
        "os._exit = sys.exit\n"
        "sys.argv = ['probe', 'worker']\n"
        "try:\n runpy.run_module('maintenance.probe', run_name='__main__')\n"
        "except SystemExit as end:\n"
        " print(end.code, *[name for name in ('django', 'celery', 'argparse', 'typing') if name in sys.modules])"
    )
    environ = {**os.environ, heartbeat.VARIABLE: str(tmp_path)}
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{code}"],
                          capture_output=True, text=True, env=environ)  # fmt: skip
    assert (done.stdout, done.stderr) == ("alive: worker-heavy@here\n0\n", "")
    answers = [
        subprocess.run([sys.executable, "-m", "maintenance.probe", *argv], capture_output=True, text=True, env=environ)
        for argv in (["worker"], ["beat"], ["nobody"], ["--help"])
    ]
    assert [done.returncode for done in answers] == [0, 2, 2, 0]
    assert (answers[2].stdout, answers[3].stdout) == ("", probe.HELP)
