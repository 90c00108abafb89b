"""Proving a backup: its bytes, its dump, or a restore into a scratch database; and noting what came out."""

from datetime import datetime
from pathlib import Path
from typing import Any

from . import catalog, engines, scratch, signals, unpack
from .destination import Destination, writing
from .errors import Damaged, NotRestored, PrivilegeMissing
from .found import Broken, Found, Refused
from .job import Job
from .manifest import Manifest
from .pulse import Watch, nobody
from .sidecars import LEVELS, Verified


def verify(
    destination: Destination,
    backup: Manifest,
    *,
    level: str,
    now: datetime,
    identity: Path | None = None,
    using: str = "",
    watch: Watch = nobody,
) -> Verified:
    """Verify ``backup`` and note the outcome beside its manifest.

    A lower level than what an earlier verification proved is not noted. ``using`` is the alias of DATABASES whose
    server takes the scratch database (default: the backup's own). Raises Damaged, which is noted too, and what keeps it
    from being verified: NotRestored, IdentityMissing, IdentityRefused, PrivilegeMissing, Unavailable, CannotWrite.
    """
    try:
        found = _look(destination, backup, level=level, identity=identity, using=using, watch=watch)
    except Damaged as error:
        _note(destination, backup, Verified(level, now, ok=False, reason=str(error.facts["reason"])))
        raise
    except PrivilegeMissing:
        # Then this is the most that is proven, and the caller hears what it takes to prove more.
        verify(destination, backup, level="decode", now=now, identity=identity, using=using, watch=watch)
        raise
    counts: dict[str, Any] = {"tables": found.tables, "versions": found.versions} if level == "restore" else {}
    return _note(destination, backup, Verified(level, now, ok=True, warnings=found.warnings, **counts))


def job(
    destination: Destination, backup: Manifest, *, folder: Path, identity: Path | None, watch: Watch, stage: str
) -> Job:
    """Return the work of reading ``backup``, for its engine."""

    def feed(sink: unpack.Sink) -> None:
        step = _steps(backup, watch, stage)
        unpack.unpack(destination.storage, backup, sink, identity=identity, progress=step)

    return Job(backup, feed, folder, watch)


def blame(destination: Destination, backup: Manifest) -> None:
    """Raise Damaged when it is the stored bytes' fault that a server refused a dump."""
    unpack.check_hash(destination.storage, backup, progress=lambda size: None)


def _steps(backup: Manifest, watch: Watch, stage: str) -> unpack.Progress:
    read = 0

    def step(size: int) -> None:
        nonlocal read
        read += size
        watch(stage, read, backup.stored_bytes)

    return step


def _look(
    destination: Destination, backup: Manifest, *, level: str, identity: Path | None, using: str, watch: Watch
) -> Found:
    if level == "hash":
        unpack.check_hash(destination.storage, backup, progress=_steps(backup, watch, level))
        return Found({})
    engine = engines.reader(backup.engine)
    with writing(destination), scratch.folder(destination) as folder:
        work = job(destination, backup, folder=folder, identity=identity, watch=watch, stage=level)
        try:
            if level == "decode":
                return Found({}, warnings=engine.decode(work, using=using or backup.alias))
            found = engine.drill(work, using=using or backup.alias)
        except Broken as error:
            raise Damaged(id=backup.id, reason=str(error)) from error
        except Refused as error:
            blame(destination, backup)
            raise NotRestored(id=backup.id, reason=str(error)) from error
        found.compare(backup)
        return found


def _note(destination: Destination, backup: Manifest, outcome: Verified) -> Verified:
    earlier = catalog.learnt(destination.storage, backup, Verified)
    proven = earlier is not None and earlier.ok and outcome.ok
    if not proven or LEVELS.index(outcome.level) >= LEVELS.index(earlier.level if earlier else "hash"):
        with writing(destination):
            catalog.note(destination.storage, backup, outcome)
    about = {"manifest": backup, "destination": destination, "verified": outcome}
    signals.backup_verified.send_robust(sender=Manifest, **about)
    return outcome
