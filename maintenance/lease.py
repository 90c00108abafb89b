"""Leases: one holder a name, for a while. The database's clock decides, so that hosts need not agree on time."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.expressions import Combinable

from .errors import AlreadyDone, LockHeld
from .models import Lease
from .timestamp import Now


def this_process() -> str:
    """Return a holder that no other process is: host, process id and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Holding:
    """A lease as found in the database."""

    name: str
    holder: str
    since: datetime
    expires: datetime
    reason: str
    generation: int


def acquire(name: str, *, holder: str, ttl: timedelta, reason: str = "", using: str = DEFAULT_DB_ALIAS) -> bool:
    """Take the lease ``name`` for ``ttl``; return False when another holder has it.

    The same holder takes over its own lease, so that a redelivered task goes on where its first run was killed.
    """
    free_or_ours = Q(expires__lte=Now()) | Q(holder=holder)
    return _take(free_or_ours, name, holder=holder, ttl=ttl, reason=reason, using=using)


def acquire_once(
    name: str, *, holder: str, ttl: timedelta, takeover: bool, reason: str = "", using: str = DEFAULT_DB_ALIAS
) -> bool:
    """Take the lease; not for a holder that has finished, nor, without ``takeover``, for one that still holds it."""
    over = Q(expires__lte=Now())
    unfinished = Q(holder=holder, finished__isnull=True)
    allowed = (over & ~Q(holder=holder)) | (unfinished if takeover else unfinished & over)
    return _take(allowed, name, holder=holder, ttl=ttl, reason=reason, using=using)


def _take(allowed: Q, name: str, *, holder: str, ttl: timedelta, reason: str, using: str) -> bool:
    rows = Lease.objects.using(using)
    claim = {"holder": holder, "reason": reason, "since": Now(), "expires": _after(ttl), "finished": None}
    taken = rows.filter(allowed, name=name).update(**claim, generation=F("generation") + 1)
    if taken:
        return True
    try:
        with transaction.atomic(using=using):
            rows.create(name=name, **claim)
    except IntegrityError:
        return False
    return True


def renew(name: str, *, holder: str, ttl: timedelta, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Extend our own, unexpired lease; return False when it is no longer ours."""
    ours = Lease.objects.using(using).filter(name=name, holder=holder, expires__gt=Now())
    return bool(ours.update(expires=_after(ttl)))


def release(name: str, *, holder: str, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Give the lease up; return False when it was no longer ours."""
    deleted, _ = Lease.objects.using(using).filter(name=name, holder=holder).delete()
    return bool(deleted)


def void(name: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Remove the lease whoever holds it: for who has replaced the table, with holders of the past in it."""
    Lease.objects.using(using).filter(name=name).delete()


def end(name: str, *, holder: str, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Give the lease up but keep its row, so that its generation counts on; return False when it was not ours."""
    return bool(Lease.objects.using(using).filter(name=name, holder=holder).update(expires=Now()))


def finish(name: str, *, holder: str, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Give the lease up and remember until the next one that its work was done; return False when it was not ours."""
    ours = Lease.objects.using(using).filter(name=name, holder=holder)
    return bool(ours.update(expires=Now(), finished=Now()))


def finished(name: str, *, holder: str, using: str = DEFAULT_DB_ALIAS) -> datetime | None:
    """Return when ``holder``, the last one of ``name``, finished its work; None for any other."""
    rows = Lease.objects.using(using).filter(name=name, holder=holder)
    return rows.values_list("finished", flat=True).first()


def find(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Holding | None:
    """Return the unexpired lease ``name``, or None."""
    row = Lease.objects.using(using).filter(name=name, expires__gt=Now()).first()
    if row is None:
        return None
    return Holding(row.name, row.holder, row.since, row.expires, row.reason, row.generation)


def take(name: str, *, holder: str, ttl: timedelta, reason: str = "", using: str = DEFAULT_DB_ALIAS) -> None:
    """Take the lease or raise LockHeld, which names the holder."""

    def attempt() -> bool:
        return acquire(name, holder=holder, ttl=ttl, reason=reason, using=using)

    if not attempt():
        _explain(name, attempt, using)


@contextmanager
def held(name: str, *, holder: str, ttl: timedelta, reason: str = "", using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Hold the lease for the length of a block. Raises LockHeld, which names the holder."""
    take(name, holder=holder, ttl=ttl, reason=reason, using=using)
    try:
        yield
    finally:
        release(name, holder=holder, using=using)


@contextmanager
def held_once(
    name: str, *, holder: str, ttl: timedelta, takeover: bool, reason: str = "", using: str = DEFAULT_DB_ALIAS
) -> Iterator[None]:
    """Hold the lease for a block that runs once a holder. Raises LockHeld, AlreadyDone.

    What was killed or failed runs again. ``takeover``: the holder's earlier run, if any, is known to be dead.
    One row a name is kept: a holder is forgotten once another one has had the lease.
    """

    def attempt() -> bool:
        return acquire_once(name, holder=holder, ttl=ttl, takeover=takeover, reason=reason, using=using)

    if not attempt():
        done = finished(name, holder=holder, using=using)
        if done is not None:
            raise AlreadyDone(name=name, holder=holder, finished=done.isoformat(timespec="seconds"))
        _explain(name, attempt, using)
    try:
        yield
    except BaseException:
        release(name, holder=holder, using=using)
        raise
    finish(name, holder=holder, using=using)


def _explain(name: str, attempt: Callable[[], bool], using: str) -> None:
    """Raise LockHeld with what is known of the holder; return when it has just left and ``attempt`` succeeds."""
    other = find(name, using=using)
    if other is None and attempt():
        return
    raise LockHeld(
        name=name,
        holder=other.holder if other else "another process",
        since=other.since.isoformat(timespec="seconds") if other else "just now",
        expires=other.expires.isoformat(timespec="seconds") if other else "its end",
    )


@contextmanager
def patient(seconds: float, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """A transaction whose statements wait at most ``seconds`` for other people's locks, then raise DatabaseError.

    After an error an SQLite or MariaDB connection keeps that patience until it is closed.
    """
    connection = connections[using]
    milliseconds = max(1, round(seconds * 1000))
    usual = _wait_for_locks(connection, milliseconds)
    with transaction.atomic(using=using):
        if connection.vendor == "postgresql":
            # LOCAL: behind a pooler the next transaction may be another client's.
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}; SET LOCAL statement_timeout = {milliseconds}")
        yield
    if usual is not None:
        _wait_for_locks(connection, usual)


def _wait_for_locks(connection: BaseDatabaseWrapper, milliseconds: int) -> int | None:
    """Set how long statements wait, and return how long they did; None where that belongs to the transaction."""
    known = {
        "sqlite": ("PRAGMA busy_timeout", "PRAGMA busy_timeout = {}", 1),
        # In whole seconds, from 1 up.
        "mysql": ("SELECT @@innodb_lock_wait_timeout", "SET SESSION innodb_lock_wait_timeout = {}", 1000),
    }
    if connection.vendor not in known:
        return None
    ask, change, unit = known[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(ask)
        before = int(cursor.fetchone()[0]) * unit
        cursor.execute(change.format(max(1, round(milliseconds / unit))))
    return before


def _after(ttl: timedelta) -> Combinable:
    return ExpressionWrapper(Now() + Value(ttl), output_field=DateTimeField())
