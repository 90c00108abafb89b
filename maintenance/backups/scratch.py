"""Private folders for what is unpacked: removed at the end, and after a kill by whoever comes next."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from maintenance import private

from .destination import Destination

PREFIX: Final = ".maintenance-reading-"
_DAY: Final = 86_400


@contextmanager
def folder(destination: Destination) -> Iterator[Path]:
    """Give a new folder with mode 0700 where files are staged for ``destination``; it is removed at the end."""
    private.make(destination.staging)
    sweep(destination)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=destination.staging)).absolute()
    lock = _claim(path)
    try:
        yield path
    finally:
        shutil.rmtree(path)
        if lock is not None:
            os.close(lock)


def sweep(destination: Destination) -> int:
    """Remove the folders of killed runs, and return how many there were."""
    swept = 0
    for path in destination.staging.glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another run may sweep too
            lock = _claim(path)
            if lock is not None:
                shutil.rmtree(path)
                os.close(lock)
                swept += 1
            elif os.name == "nt" and path.stat().st_mtime < time.time() - _DAY:
                shutil.rmtree(path)
                swept += 1
    return swept


def _claim(path: Path) -> int | None:
    """Lock a folder until we close it or end, however; None when another run has it, and on Windows."""
    if os.name == "nt":
        return None
    import fcntl

    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
