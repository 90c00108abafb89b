"""Leases: one holder a name, for a while. The database's clock decides, so that hosts need not agree on time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from .errors import LockHeld
from .models import Lease


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
    until = _after(ttl)
    rows = Lease.objects.using(using)
    free_or_ours = Q(expires__lte=Now()) | Q(holder=holder)
    claim = {"holder": holder, "reason": reason, "since": Now(), "expires": until}
    taken = rows.filter(free_or_ours, name=name).update(**claim, generation=F("generation") + 1)
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


def find(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Holding | None:
    """Return the unexpired lease ``name``, or None."""
    row = Lease.objects.using(using).filter(name=name, expires__gt=Now()).first()
    if row is None:
        return None
    return Holding(row.name, row.holder, row.since, row.expires, row.reason, row.generation)


def take(name: str, *, holder: str, ttl: timedelta, reason: str = "", using: str = DEFAULT_DB_ALIAS) -> None:
    """Take the lease or raise LockHeld, which names the holder."""
    if acquire(name, holder=holder, ttl=ttl, reason=reason, using=using):
        return
    other = find(name, using=using)
    if other is not None or not acquire(name, holder=holder, ttl=ttl, reason=reason, using=using):
        raise LockHeld(
            name=name,
            holder=other.holder if other else "another process",
            since=other.since.isoformat(timespec="seconds") if other else "just now",
            expires=other.expires.isoformat(timespec="seconds") if other else "its end",
        )


@contextmanager
def held(name: str, *, holder: str, ttl: timedelta, reason: str = "", using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Hold the lease for the length of a block. Raises LockHeld, which names the holder."""
    take(name, holder=holder, ttl=ttl, reason=reason, using=using)
    try:
        yield
    finally:
        release(name, holder=holder, using=using)


@contextmanager
def patient(seconds: float, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """A transaction whose statements wait at most ``seconds`` for other people's locks, then raise DatabaseError."""
    connection = connections[using]
    milliseconds = max(1, round(seconds * 1000))
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        elif connection.vendor == "mysql":
            cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", [max(1, round(seconds))])
    with transaction.atomic(using=using):
        if connection.vendor == "postgresql":
            # LOCAL: behind a pooler the next transaction may be another client's.
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}; SET LOCAL statement_timeout = {milliseconds}")
        yield


def _after(ttl: timedelta) -> Combinable:
    return ExpressionWrapper(Now() + Value(ttl), output_field=DateTimeField())
