"""The README's commands run as written and print what it shows; … stands for anything."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import ROOT, Project
from tests.servers import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the output shown is that of Linux")

README = (ROOT / "README.md").read_text()


@dataclass(frozen=True)
class Step:
    """A command of the README, and what it is shown to print."""

    command: str
    shown: str

    def pattern(self, port: int) -> str:
        """Return the shown output as a regular expression, at another port."""
        text = re.escape(self.shown.replace(":8000", f":{port}"))
        return text.replace(re.escape("…"), ".*")


def steps() -> list[Step]:
    """Return every command in the README's console blocks."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ (?!… -m)", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append(Step(command, shown.rstrip("\n")))
    return found


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    venv = Path(sys.prefix)
    project = Project(
        tmp_path,
        DEBUG="",
        PORT=str(free_port()),
        VENV=str(venv),
        PATH=f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
    )
    yield project
    project.close()


def test_the_tour_runs_as_written(project: Project) -> None:
    if not (Path(sys.prefix) / ".installed").exists():
        pytest.skip("make did not make this venv: `make up` would install into it")
    port = int(project.env["PORT"])
    first, *rest = steps()
    assert first.command == "make up"
    up = project.spawn(["bash", "-c", f"exec {first.command}"])
    for line in first.shown.splitlines():
        up.wait_for_line(Step("", line).pattern(port), seconds=60)
    for step in rest:
        done = subprocess.run(
            ["bash", "-c", step.command],
            env={**project.env, "DEBUG": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), step.command
        assert re.fullmatch(step.pattern(port), done.stdout.rstrip("\n")), f"{step.command} printed:\n{done.stdout}"
    os.killpg(up.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    up.wait(seconds=15)


def test_the_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spoken = set(" ".join(re.findall(r"(?:`|^\$ )make ([a-z -]+)", README, re.MULTILINE)).split())
    assert spoken
    assert spoken - targets == set()


def test_the_command_table_is_complete() -> None:
    documented = set(re.findall(r"^## (\w+)$", (ROOT / "docs/commands.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == documented


def test_windows_gets_the_same_processes_as_procfile_dev() -> None:
    section = README.partition("## Windows")[2].partition("\n## ")[0]
    shown = set(re.findall(r"^python manage\.py (\w+)", section, re.MULTILINE))
    started = set(re.findall(r"manage\.py (\w+)", (ROOT / "Procfile.dev").read_text()))
    assert started - {"run_broker"} <= shown
    assert {"migrate", "sync_schedules", "dev_superuser"} <= shown
