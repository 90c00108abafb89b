"""The watchdog: a loop that hangs ends with 70 and shows where it stands."""

import subprocess
import sys
import time
from pathlib import Path

from maintenance.beat.watchdog import Watchdog

HANGS = """
import time
from maintenance.beat.watchdog import Watchdog
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
    dog = Watchdog(limit=60, heartbeat=tmp_path / "beat")
    dog.pulse()
    assert (tmp_path / "beat").exists()


def test_an_unwritable_heartbeat_is_told_once_and_given_up(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    dog = Watchdog(limit=60, heartbeat=tmp_path / "absent" / "beat")
    dog.pulse()
    dog.pulse()
    assert capsys.readouterr().err.count("cannot be written") == 1
