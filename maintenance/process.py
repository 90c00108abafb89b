"""Starting other programs: argv and environment as values, secrets redacted, nothing through a shell."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from . import host

_PR_SET_PDEATHSIG = 1
_PIPE_BYTES = 1 << 20
NOTHING = subprocess.DEVNULL
PIPE = subprocess.PIPE


@dataclass(frozen=True)
class Command:
    """A program to start. ``env`` is added to ours; ``secrets`` too, but never shown."""

    args: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    without: tuple[str, ...] = ()
    """Variables of ours that it does not get."""
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """Secrets that it gets in another way (a file): never shown in what it says."""

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the child."""
        ours = {name: value for name, value in os.environ.items() if name not in self.without}
        return {**ours, **_import_path(), **self.env, **self.secrets}

    def redacted(self, text: str) -> str:
        """Return what the program said without its secrets."""
        return redact(text, [*self.secrets.values(), *self.hidden])


def _import_path() -> dict[str, str]:
    """Let the child import what manage.py's folder holds, whatever the current folder is."""
    # Not sys.path[0]: Celery puts the current folder there when it is imported.
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(script).resolve().parent if script else Path.cwd()
    if folder == Path.cwd() or not (folder / "manage.py").is_file():
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))}


def environment() -> Mapping[str, str]:
    """Return this process' environment (a copy), for the doors that detect the host."""
    return dict(os.environ)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with every secret replaced by ``**``."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "**")
    return text


def replace(command: Command) -> NoReturn:
    """Become ``command`` (POSIX exec): same pid, so that signals reach it directly. Never returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command.args[0], command.args, command.environment())  # noqa: S606


def become(command: Command) -> int:
    """Become ``command`` (POSIX, never returns). Windows has no exec: there it is supervised, and its code returned."""
    if host.platform() == "win32":
        return supervise(command)
    return replace(command)


def start(
    command: Command,
    *,
    dies_with_us: bool = False,
    own_group: bool = False,
    deaf: bool = False,
    stdin: IO[bytes] | int | None = None,
    piped: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start ``command`` as a child.

    With ``dies_with_us`` the kernel kills it when we die (Linux); ``deaf`` blocks SIGTERM and SIGINT in it (POSIX), for
    a program that is stopped in its own way; ``piped`` gives us pipes from its stdout and stderr.
    """
    new_group: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if own_group else 0
    posix = sys.platform != "win32"
    return subprocess.Popen(
        command.args,
        env=command.environment(),
        preexec_fn=_before_exec(os.getpid(), dies_with_us=dies_with_us, deaf=deaf) if posix else None,
        start_new_session=own_group and posix,
        creationflags=new_group,
        stdin=stdin,
        stdout=subprocess.PIPE if piped else None,
        stderr=subprocess.PIPE if piped else None,
        pipesize=_PIPE_BYTES if piped else -1,
        bufsize=0 if piped else -1,
    )


def wait(child: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Return the status that ``child`` ended with, or None when it still runs after ``seconds``."""
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def end(child: "subprocess.Popen[bytes]") -> None:
    """Kill ``child`` and, on POSIX, whatever else is in the session that it leads; wait for it."""
    if child.poll() is None:
        if sys.platform != "win32" and os.getsid(child.pid) == child.pid:
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
    child.wait()


def supervise(command: Command) -> int:
    """Run ``command`` as a child, pass stop signals on to it, and return its exit code.

    This is Windows' substitute for exec: SIGINT, SIGTERM and SIGBREAK reach the child as Ctrl-Break.
    """
    child = start(command, own_group=True)
    undo = on_stop_signals(lambda: stop(child))
    try:
        return child.wait()
    finally:
        undo()


def on_stop_signals(act: Callable[[], object]) -> Callable[[], None]:
    """Call ``act`` from now on when this process is asked to stop: SIGINT, SIGTERM, or Windows' SIGBREAK.

    Returns a function that restores what was there before.
    """

    def handle(signum: int, frame: FrameType | None) -> None:
        act()

    present = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {signum: signal.signal(signum, handle) for signum in present}

    def undo() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    return undo


def stop(child: "subprocess.Popen[bytes]", signum: int = signal.SIGTERM) -> None:
    """Ask ``child`` to stop: Ctrl-Break on Windows, ``signum`` elsewhere. A child already gone is left alone."""
    if child.poll() is None:
        child.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signum))


def _before_exec(parent: int, *, dies_with_us: bool, deaf: bool) -> Callable[[], None] | None:
    linked = dies_with_us and sys.platform == "linux"
    if not linked and not deaf:
        return None
    libc = ctypes.CDLL(None, use_errno=True) if linked else None

    def before_exec() -> None:
        if deaf:  # a signal mask outlives exec, and the program's own handlers do not lift it
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # we died between fork and prctl
                os._exit(1)

    return before_exec
