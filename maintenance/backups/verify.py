"""Proving a backup: its bytes, its dump, or a restore into a scratch database; and noting what came out."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from . import catalog, engines, scratch, unpack
from .destination import Destination, writing
from .errors import Damaged
from .found import Broken, Found
from .job import Job
from .manifest import Manifest
from .sidecars import LEVELS, Verified

Progress = Callable[[str, float], object]


def verify(
    destination: Destination,
    backup: Manifest,
    *,
    level: str,
    now: datetime,
    identity: Path | None = None,
    using: str = "",
    progress: Progress = lambda stage, share: None,
) -> Verified:
    """Verify ``backup`` and note the outcome beside its manifest.

    A lower level than what an earlier verification proved is not noted. ``using`` is the alias of DATABASES whose
    server takes the scratch database (default: the backup's own). Raises Damaged, which is noted too, and what keeps it
    from being verified: IdentityMissing, IdentityRefused, PrivilegeMissing, Unavailable, CannotWrite.
    """
    try:
        found = _look(destination, backup, level=level, identity=identity, using=using, progress=progress)
    except Damaged as error:
        _note(destination, backup, Verified(level, now, ok=False, reason=str(error.facts["reason"])))
        raise
    counts: dict[str, Any] = {"tables": found.tables, "versions": found.versions} if level == "restore" else {}
    return _note(destination, backup, Verified(level, now, ok=True, warnings=found.warnings, **counts))


def job(
    destination: Destination, backup: Manifest, *, folder: Path, identity: Path | None, progress: Progress, stage: str
) -> Job:
    """Return the work of reading ``backup``, for its engine."""

    def feed(sink: unpack.Sink) -> None:
        step = _steps(backup, progress, stage)
        unpack.unpack(destination.storage, backup, sink, identity=identity, progress=step)

    return Job(backup, feed, folder, progress)


def _steps(backup: Manifest, progress: Progress, stage: str) -> unpack.Progress:
    read = 0

    def step(size: int) -> None:
        nonlocal read
        read += size
        progress(stage, read / max(1, backup.stored_bytes))

    return step


def _look(
    destination: Destination, backup: Manifest, *, level: str, identity: Path | None, using: str, progress: Progress
) -> Found:
    if level == "hash":
        unpack.check_hash(destination.storage, backup, progress=_steps(backup, progress, level))
        return Found({})
    engine = engines.reader(backup.engine)
    with writing(destination), scratch.folder(destination) as folder:
        work = job(destination, backup, folder=folder, identity=identity, progress=progress, stage=level)
        try:
            if level == "decode":
                return Found({}, warnings=engine.decode(work, using=using or backup.alias))
            found = engine.drill(work, using=using or backup.alias)
        except Broken as error:
            raise Damaged(id=backup.id, reason=str(error)) from error
        found.compare(backup)
        return found


def _note(destination: Destination, backup: Manifest, outcome: Verified) -> Verified:
    earlier = catalog.learnt(destination.storage, backup, Verified)
    proven = earlier is not None and earlier.ok and outcome.ok
    if not proven or LEVELS.index(outcome.level) >= LEVELS.index(earlier.level if earlier else "hash"):
        with writing(destination):
            catalog.note(destination.storage, backup, outcome)
    return outcome
