"""The embedded broker's folders: private to one user, claimed by one run_broker at a time."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from maintenance import private
from maintenance.errors import CannotWrite, MaintenanceError

LOCK = "broker.lock"


class BrokerRuns(MaintenanceError):
    """A broker already serves {folder!r} (pid {pid})."""

    exit_code = 4
    hint = "Use that one, or stop it first."


class NotPrivate(CannotWrite):
    """The folder {path!r} must belong to this user and be closed to others: {reason}."""

    hint = "Run `chmod 700` on it if it is the broker's alone, else choose another folder."


def make_private(folder: Path) -> None:
    """Make ``folder`` with mode 0700. An existing one is closed to others only when it is empty or the broker's.

    Raises CannotWrite, and NotPrivate where others could reach the socket.
    """
    try:
        private.make(folder)
        found = folder.lstat()
        if not hasattr(os, "geteuid"):
            return
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
            raise NotPrivate(path=str(folder), reason="it is a link or belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o077:
            _close(folder)
    except OSError as error:
        raise CannotWrite(path=str(folder), reason=error.strerror or str(error)) from error


def make_all(folders: Iterable[Path]) -> None:
    """Make every one of the filesystem transport's folders. Raises CannotWrite."""
    for path in (path for folder in folders for path in (folder.parent, folder)):
        try:
            private.make(path)
        except OSError as error:
            raise CannotWrite(path=str(path), reason=error.strerror or str(error)) from error


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold ``folder``'s lock, which the kernel gives back however we end. Raises BrokerRuns, CannotWrite."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotWrite(path=str(folder / LOCK), reason=error.strerror or str(error)) from error
    try:
        _lock(lock, folder)
        yield
    finally:
        os.close(lock)


def remove(path: Path, *, ours: Callable[[int], bool] = stat.S_ISSOCK) -> None:
    """Remove a left-over socket (or another kind of file). Raises CannotWrite when something else bears its name."""
    try:
        if not ours(path.lstat().st_mode):
            raise CannotWrite(path=str(path), reason="it is not what run_broker left there")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotWrite(path=str(path), reason=error.strerror or str(error)) from error


def _close(folder: Path) -> None:
    """Close to others a folder that holds nobody else's files; somebody may have set FOLDER to /tmp."""
    if any(folder.iterdir()) and not (folder / LOCK).exists():
        raise NotPrivate(path=str(folder), reason="others may enter it, and it holds files that are not the broker's")
    folder.chmod(0o700)


def _lock(lock: int, folder: Path) -> None:
    import fcntl  # absent on Windows, where no server is started

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(lock, 20, 0).decode().strip()
        raise BrokerRuns(folder=str(folder), pid=pid or "unknown") from error
    os.pwrite(lock, f"{os.getpid():>10}\n".encode(), 0)
