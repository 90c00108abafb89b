"""Real processes for live tests: started in their own session, logged to a file, never left behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
Value = TypeVar("Value")


def wait_for(what: Callable[[], Value], *, seconds: float = 30, every: float = 0.05, about: str = "") -> Value:
    """Return the first truthy value of ``what()``; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{about or what} did not come true within {seconds} s")
        time.sleep(every)


class Process:
    """A program under test: its output goes to a file that can be waited on."""

    def __init__(self, args: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path = ROOT) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                args,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_line(self, pattern: str, *, seconds: float = 30) -> "re.Match[str]":
        """Return the first match of ``pattern`` in the output; fail with the output when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.popen.poll() is not None
            found = re.search(pattern, self.output, re.MULTILINE)
            if found:
                return found
            if ended or time.monotonic() > deadline:
                why = f"ended with {self.popen.returncode}" if ended else f"said nothing of it for {seconds} s"
                raise AssertionError(f"{pattern!r} never appeared: the process {why}. Output:\n{self.output}")
            time.sleep(0.05)

    def send(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def wait(self, *, seconds: float = 30) -> int:
        """Return the exit code; fail with the output when the process does not end in time."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s. Output:\n{self.output}") from None

    def terminate(self, *, seconds: float = 30) -> int:
        self.send(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def close(self) -> None:
        """Kill whatever is left of the process and its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)


class Project:
    """opsproject (or another settings module) in a var folder of its own, driven through manage.py and celery."""

    def __init__(self, folder: Path, *, settings: str = "opsproject.settings", **env: str) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.processes: list[Process] = []
        inherited = {
            k: v
            for k, v in os.environ.items()
            if k not in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
        }
        self.env = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": settings,
            "DEBUG": "1",
            "VAR_DIR": str(self.var),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **env,
        }

    def manage(
        self, *args: str, check: bool = True, seconds: float = 120, **env: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``manage.py args`` to its end."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *args],
            env={**self.env, **env},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if check and done.returncode:
            raise AssertionError(f"manage.py {args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def python(self, code: str, *, seconds: float = 120) -> str:
        """Run Python in the project after django.setup() and return its stdout."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{code}"],
            env=self.env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if done.returncode:
            raise AssertionError(f"{code}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, *args: str, **env: str) -> Process:
        """Start ``manage.py args`` and return it; it is stopped with the project."""
        return self.spawn([sys.executable, str(ROOT / "manage.py"), *args], **env)

    def spawn(self, args: Sequence[str], **env: str) -> Process:
        """Start any program in the project's environment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{len(self.processes)}-{Path(args[1]).name if len(args) > 1 else 'process'}.log"
        process = Process(args, env={**self.env, **env}, log=log)
        self.processes.append(process)
        return process

    def pids(self) -> list[int]:
        """Return every living process that was started with this var folder, in whatever session (Linux)."""
        mark = f"VAR_DIR={self.var}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def close(self) -> None:
        for process in reversed(self.processes):
            process.close()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
