"""Heartbeat files: a process says that its main loop turns, and a probe reads it. Standard library only, and fast.

The file's age is the heartbeat's. In it: who wrote it (pid, its start, host), until when it may be silent, and whether
it can do its work at all (``ready``). Files are ``worker-<name>`` and ``beat`` in $MAINTENANCE_RUN_DIR.
"""

import os
import sys
import time

TYPE_CHECKING = False  # typing takes as long to import as all the rest
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Environ = Mapping[str, str]

VARIABLE = "MAINTENANCE_RUN_DIR"
FOLDER = os.path.join("var", "run")
BEAT, WORKER = "beat", "worker"
MAX_AGE = 60.0


def folder(environ: "Environ") -> str:
    """Return where heartbeat files are: $MAINTENANCE_RUN_DIR, else var/run in the current folder."""
    return os.path.abspath(environ.get(VARIABLE) or FOLDER)


def file_name(kind: str, name: str = "") -> str:
    """Return the file's name of a worker's node name, or of beat."""
    safe = "".join(char if char.isalnum() or char in "@.-_" else "_" for char in name)
    return f"{kind}-{safe}" if name else kind


class Heart:
    """The writing side, one a process. A folder that cannot be written is told once and changes nothing else."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._pid = os.getpid()
        self._who = f"pid={self._pid}\nborn={_born(self._pid)}\nhost={_host()}\n"
        self._ready, self._silent_until = False, 0.0
        self._written = ""
        self._broken = False

    def beat(self) -> None:
        """Say that the main loop turns."""
        try:
            os.utime(self.path)
        except OSError:  # not there yet, or removed
            self._written = ""
            self._write()

    def ready(self, ready: bool) -> None:
        """Say whether work can be done: the broker is connected. It is a heartbeat too."""
        self._ready = ready
        self._write()

    def busy(self, seconds: float) -> None:
        """Say that the main loop will be silent for at most so long, since it does a task itself."""
        self._silent_until = time.time() + seconds
        self._write()

    def idle(self) -> None:
        """Say that the main loop turns again."""
        self._silent_until = 0.0
        self._write()

    def end(self) -> None:
        """Remove the file at a clean exit. A forked child leaves it alone."""
        if os.getpid() == self._pid:
            self._broken = True
            try:
                os.unlink(self.path)
            except OSError:
                return

    def _write(self) -> None:
        text = f"{self._who}silent_until={self._silent_until:.3f}\nready={self._ready:d}\n"
        if self._broken:
            return
        if text == self._written:
            self.beat()
            return
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            with open(f"{self.path}.new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{self.path}.new", self.path)
        except OSError as error:
            self._broken = True
            _tell(f"the heartbeat file {self.path!r} cannot be written: {error}")
        self._written = text


class Seen:
    """A heartbeat file as found: its ``age``, and for how many seconds more it may be silent.

    ``gone``: its process is known to have ended, or runs on another host, of which nothing can be told here.
    """

    def __init__(self, name: str, *, age: float, silent_for: float, ready: bool, gone: bool) -> None:
        self.name, self.age, self.silent_for, self.ready, self.gone = name, age, silent_for, ready, gone

    def alive(self, max_age: float) -> bool:
        """Return whether it beats, or is busy within its limit. One from the future does not beat: a clock was set."""
        return not self.gone and (abs(self.age) <= max_age or self.silent_for > 0)


def read(folder: str, kind: str) -> "Iterator[Seen]":
    """Yield the heartbeats of a kind: beat's one, or every worker's."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        ours = name == kind if kind == BEAT else name.startswith(f"{kind}-")
        if ours and not name.endswith(".new"):
            seen = _read(os.path.join(folder, name), name)
            if seen is not None:
                yield seen


def _read(path: str, name: str) -> Seen | None:
    try:
        age = time.time() - os.stat(path).st_mtime
        with open(path, encoding="utf-8", errors="replace") as file:
            facts = dict(line.partition("=")[::2] for line in file.read().splitlines())
    except OSError:
        return None
    try:
        silent_for = float(facts.get("silent_until") or 0) - time.time()
    except ValueError:
        silent_for = 0.0
    gone = facts.get("host", _host()) != _host() or not _lives(facts.get("pid", ""), facts.get("born", ""))
    return Seen(name, age=age, silent_for=silent_for, ready=facts.get("ready") == "1", gone=gone)


def _lives(pid: str, born: str) -> bool:
    """Return whether the process lives, and is not another one that got its number; True where nobody can tell."""
    if not pid.isdigit() or sys.platform == "win32":  # os.kill(pid, 0) is Ctrl-C there
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    now = _born(int(pid))
    return now != "ended" and (not born or not now or now == born)


def _born(pid: int) -> str:
    """Return when a process started, in the kernel's ticks since boot (Linux); "ended" for a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            facts = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if facts[0] in "ZX" else facts[19]


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _tell(text: str) -> None:
    """Write to the real stderr: Celery puts loggers in the place of sys.stderr, which beat's watchdog may not use."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"{text}\n")
        sys.__stderr__.flush()
