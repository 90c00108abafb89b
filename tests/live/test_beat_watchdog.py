"""The watchdog: a loop that hangs ends with 70 and shows where it stands."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maintenance.beat.watchdog import Watchdog
from maintenance.heartbeat import Heart
from tests.processes import Project, wait_for

HANGS = """
import sys, time
from celery.utils.log import LoggingProxy, get_logger
from maintenance.beat.watchdog import Watchdog
from maintenance.heartbeat import Heart
sys.stdout = sys.stderr = LoggingProxy(get_logger("as in celery beat"))
Watchdog(limit=0.3).start()
def stuck(): time.sleep(30)
stuck()
"""


def test_a_loop_that_hangs_ends_with_its_stack() -> None:
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20)
    assert done.returncode == 70
    assert time.monotonic() - started < 10
    assert "beat: no tick for 0 s. Where it stands follows; ending with 70." in done.stderr
    assert "in stuck" in done.stderr


def test_a_loop_that_ticks_goes_on() -> None:
    ends: list[int] = []
    dog = Watchdog(limit=0.4, end=ends.append)
    dog.start()
    for _ in range(8):
        time.sleep(0.1)
        dog.pulse()
    dog.stop()
    assert ends == []


def test_each_tick_renews_the_heartbeat_file(tmp_path: Path) -> None:
    dog = Watchdog(limit=60, heart=Heart(str(tmp_path / "beat")))
    dog.pulse()
    assert (tmp_path / "beat").exists()
    dog.stop()
    assert not (tmp_path / "beat").exists()


def test_an_unwritable_heartbeat_is_told_once_and_given_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    dog = Watchdog(limit=60, heart=Heart(str(tmp_path / "file" / "beat")))
    dog.pulse()
    dog.pulse()
    assert capfd.readouterr().err.count("cannot be written") == 1


def test_it_nudges_once_a_silence_before_it_ends() -> None:
    calls: list[str] = []

    def nudge() -> bool:
        calls.append("nudge")
        return True

    dog = Watchdog(limit=1.6, patience=0.2, nudge=nudge, end=lambda code: calls.append(f"end {code}"))
    dog.start()
    wait_for(lambda: calls[-1:] == ["end 70"], seconds=30)
    assert calls == ["nudge", "end 70"]


def test_a_nudge_that_could_do_nothing_is_tried_again() -> None:
    calls: list[str] = []

    def nudge() -> bool:
        calls.append("nudge")
        return False

    dog = Watchdog(limit=2.4, patience=0.2, nudge=nudge, end=lambda code: calls.append("end"))
    dog.start()
    wait_for(lambda: calls[-1:] == ["end"], seconds=30)
    assert calls.count("nudge") > 1


@pytest.mark.soak
def test_a_beat_whose_tick_hangs_ends_with_70_after_a_minute(project: Project, tmp_path: Path) -> None:
    args = ["-A", "opsproject", "beat", "-S", "tests.live.projects.stuck:Stuck"]
    started = time.monotonic()
    beat = project.spawn([sys.executable, "-m", "celery", *args], MAINTENANCE_RUN_DIR=str(tmp_path))
    assert beat.wait(seconds=180) == 70
    assert time.monotonic() - started >= 60
    assert re.search(r"beat: no tick for 6\d s\. Where it stands follows; ending with 70\.", beat.output)
    assert re.search(r"stuck\.py\", line \d+ in tick", beat.output)
    assert time.time() - (tmp_path / "beat").stat().st_mtime >= 60
