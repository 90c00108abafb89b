"""Restoring: what is refused, the proof before anything is touched, the safety backup, and the engine's last step."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from maintenance import lease
from maintenance.models import Lease

from . import engines, scratch, signals
from .destination import Destination, writing
from .errors import Damaged, MediaBeside, NotRestored, OtherDatabase, UnknownDatabase
from .found import Broken, Found, Refused
from .job import Commit, Job
from .manifest import Manifest
from .names import MEDIA
from .pulse import Watch, nobody
from .shelves import Place
from .verify import blame, job


@dataclass(frozen=True)
class Plan:
    """A backup to restore: over the database ``alias``, or beside it under the name ``into``."""

    destination: Destination
    backup: Manifest
    alias: str
    into: str = ""

    @property
    def target(self) -> str:
        """Where it goes, in words."""
        return f"into the new {self.into!r}" if self.into else f"over the database {self.alias!r}"

    def facts(self) -> dict[str, Any]:
        """Return it for a document."""
        return {"id": self.backup.id, "database": self.alias, "into": self.into, "tables": self.backup.tables}


@dataclass(frozen=True)
class Restored:
    """What was restored, where, and what that holds now."""

    id: str
    alias: str
    into: str
    found: Found
    safety: str
    """The id of the backup that was made before, or nothing."""


def plan(place: Place, *, alias: str = "", into: str = "", force: bool = False) -> Plan:
    """Return how a backup is restored: into ``alias`` (default: where it came from). Nothing is opened.

    Raises UnknownDatabase; MediaBeside; OtherDatabase for another engine, and for another alias without ``force``.
    """
    backup = place.entry.manifest
    if backup.kind == MEDIA:
        if not into:
            raise MediaBeside(id=backup.id)
        return Plan(place.destination, backup, backup.alias, into)
    target = alias or backup.alias
    if target not in connections:
        raise UnknownDatabase(alias=target, known=", ".join(repr(known) for known in sorted(connections)))
    vendor = connections[target].vendor
    if vendor != backup.engine:
        cure = "Give --database one of the same engine."
        raise OtherDatabase(id=backup.id, theirs=backup.engine, ours=f"{target!r} ({vendor})", cure=cure)
    if target != backup.alias and not force:
        cure = "Pass --force if you mean it."
        raise OtherDatabase(id=backup.id, theirs=repr(backup.alias), ours=repr(target), cure=cure)
    return Plan(place.destination, backup, target, into)


def restore(
    plan: Plan,
    *,
    holder: str,
    ttl: timedelta,
    identity: Path | None,
    safety: Callable[[], str],
    watch: Watch = nobody,
) -> Restored:
    """Restore as ``holder`` of the lock ``backup:<alias>``: prove the backup first, call ``safety``, then replace.

    Raises LockHeld, Damaged, NotRestored, IdentityMissing, IdentityRefused, DatabaseBusy, RestoreFailed,
    PrivilegeMissing, NameTaken, CannotWrite; what ``safety`` raises passes. The database is as it was then.
    """
    backup, engine = plan.backup, engines.reader(plan.backup.engine)
    with writing(plan.destination), scratch.folder(plan.destination) as folder:
        work = job(plan.destination, backup, folder=folder, identity=identity, watch=watch, stage="read")
        try:
            if plan.into:
                found, made = engine.beside(work, name=plan.into, using=plan.alias), ""
            else:
                found, made = _over(plan, work, holder=holder, ttl=ttl, safety=safety)
        except Broken as error:
            raise Damaged(id=backup.id, reason=str(error)) from error
        except Refused as error:
            blame(plan.destination, backup)
            raise NotRestored(id=backup.id, reason=str(error)) from error
    about = {"manifest": backup, "destination": plan.destination, "alias": plan.alias, "into": plan.into}
    signals.restore_finished.send_robust(sender=Manifest, **about)
    return Restored(backup.id, plan.alias, plan.into, found, made)


def _over(plan: Plan, work: Job, *, holder: str, ttl: timedelta, safety: Callable[[], str]) -> tuple[Found, str]:
    with engines.reader(plan.backup.engine).over(work, alias=plan.alias) as commit:
        made = safety()
        return _alone(commit, alias=plan.alias, holder=holder, ttl=ttl), made


def recover(alias: str) -> str:
    """Finish or revert a restore of ``alias`` that was killed; return what was done, or nothing."""
    return engines.reader(connections[alias].vendor).recover(alias=alias)


def _alone(commit: Commit, *, alias: str, holder: str, ttl: timedelta) -> Found:
    """Commit while we hold the lock of the alias' backups, where there is a table for it: not in a new database."""
    name = f"backup:{alias}"
    locked = _has_locks()
    if locked:
        lease.take(name, holder=holder, ttl=ttl, reason=f"restore of {alias}")
    try:
        found = commit()
    except BaseException:
        if locked:
            lease.release(name, holder=holder)
        raise
    if _has_locks():  # the restored database may lack the table
        lease.void(name)
    return found


def _has_locks() -> bool:
    connection = connections[DEFAULT_DB_ALIAS]
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite" and connection.connection is None and not Path(name).is_file():
        return False  # connecting would create it
    return Lease._meta.db_table in connection.introspection.table_names()
