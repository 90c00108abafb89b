"""Making a backup: copy, compress, store, and the manifest last."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django
import zstandard

from maintenance import lease

from . import catalog, engines, retention, streams
from .destination import Destination, make_private, settle, writing
from .engines.sqlite import dump as sqlite
from .errors import LeaseLost, StoredDiffers
from .manifest import Manifest, data_name, new_id


@dataclass(frozen=True)
class Plan:
    """A backup to make: of what, and where to."""

    source: sqlite.Source
    destination: Destination
    keep_last: int | None


@dataclass(frozen=True)
class Backup:
    """A backup that was made, and what was removed along with it."""

    manifest: Manifest
    destination: str
    swept: int
    """Leftovers of killed runs."""
    removed: tuple[str, ...]
    """Ids of older backups that retention removed."""
    broken: tuple[str, ...]
    """Manifests in the destination that cannot be read."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON-able facts: the manifest's, and what was removed."""
        facts = {"swept": self.swept, "removed": list(self.removed), "broken": list(self.broken)}
        return {**self.manifest.facts(), **facts}


def plan(*, alias: str, destination: Destination, keep_last: int | None) -> Plan:
    """Return how the database ``alias`` is backed up; nothing is opened or written.

    Raises UnknownDatabase, EngineUnsupported, DatabaseInMemory, DatabaseMissing.
    """
    return Plan(engines.source(alias), destination, keep_last)


def create(plan: Plan, *, holder: str, ttl: timedelta, clock: Callable[[], datetime]) -> Backup:
    """Make the backup of ``plan`` as ``holder`` of the lock ``backup:<alias>``, which lives for ``ttl`` and is renewed.

    Leftovers of killed runs are swept before, backups beyond ``keep_last`` removed after.
    Raises LockHeld, LeaseLost, SnapshotFailed, CopyDamaged, CannotWrite, OutOfSpace, StoredDiffers.
    """
    alias, destination = plan.source.alias, plan.destination
    name = f"backup:{alias}"
    with lease.held(name, holder=holder, ttl=ttl, reason=f"backup of {alias}"), writing(destination):
        started = clock()
        there = catalog.read(destination.storage)
        found = catalog.leftovers(there, destination, alias=alias, started=started)
        catalog.sweep(destination.storage, found)
        manifest = _make(plan, started=started, clock=clock, beat=_renewal(name, holder=holder, ttl=ttl))
        old = retention.surplus([*there.of(alias), manifest], keep_last=plan.keep_last)
        for backup in old:
            catalog.remove(destination.storage, backup)
    return Backup(manifest, destination.label, len(found), tuple(backup.id for backup in old), there.broken)


def foresee(plan: Plan) -> tuple[str, ...]:
    """Return the ids of the backups that retention will remove once the one of ``plan`` is made; changes nothing."""
    with writing(plan.destination):
        there = catalog.read(plan.destination.storage)
    old = retention.surplus(there.of(plan.source.alias), keep_last=plan.keep_last, coming=1)
    return tuple(backup.id for backup in old)


def _make(plan: Plan, *, started: datetime, clock: Callable[[], datetime], beat: Callable[..., None]) -> Manifest:
    alias, id_ = plan.source.alias, new_id(started)
    name = data_name(id_, alias, sqlite.ENGINE)
    with _staging(plan.destination, name) as folder, ExitStack() as undo:
        copy = streams.create(folder / "copy")
        snapshot = sqlite.snapshot(plan.source, copy, beat=beat)
        packed = streams.pack(copy, folder / "data", beat=beat)
        copy.unlink()
        undo.callback(plan.destination.storage.delete, name)
        _store(plan.destination, folder / "data", name)
        manifest = Manifest(
            id=id_,
            alias=alias,
            engine=sqlite.ENGINE,
            file=name,
            started=started,
            finished=clock(),
            plain_bytes=packed.plain_bytes,
            plain_sha256=packed.plain_sha256,
            stored_bytes=packed.stored_bytes,
            stored_sha256=packed.stored_sha256,
            compression=streams.COMPRESSION,
            tables=snapshot.tables,
            versions={**_versions(), **snapshot.versions},
        )
        file = streams.create(folder / "manifest")
        file.write_bytes(manifest.to_json())
        beat(now=True)
        undo.callback(plan.destination.storage.delete, manifest.name)
        _store(plan.destination, file, manifest.name)
        undo.pop_all()
    return manifest


def _store(destination: Destination, file: Path, name: str) -> None:
    size = file.stat().st_size
    with streams.staged(file) as content:
        taken = destination.storage.save(name, content)
    if taken != name:
        destination.storage.delete(taken)
        raise StoredDiffers(where=destination.label, stored=taken, sent=name)
    stored = destination.storage.size(name)
    if stored != size:
        destination.storage.delete(name)
        raise StoredDiffers(where=f"{destination.label}: {name}", stored=f"{stored} bytes", sent=f"{size} bytes")
    settle(destination)


@contextmanager
def _staging(destination: Destination, name: str) -> Iterator[Path]:
    make_private(destination.staging)
    folder = destination.staging / f"{catalog.STAGING}{name}"
    folder.mkdir(mode=0o700)
    try:
        yield folder.absolute()
    finally:
        shutil.rmtree(folder)


def _renewal(name: str, *, holder: str, ttl: timedelta) -> Callable[..., None]:
    renewed = time.monotonic()

    def beat(*, now: bool = False) -> None:
        nonlocal renewed
        if not now and time.monotonic() - renewed < ttl.total_seconds() / 3:
            return
        if not lease.renew(name, holder=holder, ttl=ttl):
            raise LeaseLost(name=name)
        renewed = time.monotonic()

    return beat


def _versions() -> dict[str, str]:
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "django": django.get_version(), "zstandard": zstandard.__version__}
