"""Tasks that leave a trace in $TRACE: one line a start, one a finish, appended atomically."""

import os
import time
from pathlib import Path

from celery import shared_task


def trace(event: str, name: str) -> None:
    """Append one line; O_APPEND keeps lines of several processes whole."""
    descriptor = os.open(os.environ["TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{event} {name} {os.getpid()} {time.time():.3f}\n".encode())
    os.close(descriptor)


@shared_task(acks_late=True, reject_on_worker_lost=True)
def work(name: str, seconds: float) -> str:
    """Start, take ``seconds``, finish."""
    trace("start", name)
    time.sleep(seconds)
    trace("finish", name)
    return name


@shared_task
def early(name: str, seconds: float) -> str:
    """The same, acknowledged before it starts."""
    trace("start", name)
    time.sleep(seconds)
    trace("finish", name)
    return name


@shared_task
def use_database() -> int:
    """Use the database for a while, so that this thread or greenlet opens a connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        time.sleep(0.2)
        return int(cursor.fetchone()[0])


@shared_task
def open_databases(name: str) -> int:
    """Return how many file descriptors of this process are connections to the SQLite file ``name``."""
    return sum(1 for path in Path("/proc/self/fd").iterdir() if path.is_symlink() and str(path.readlink()) == name)
