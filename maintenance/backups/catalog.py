"""Which backups exist in a destination, which files are leftovers of killed runs, and removing either."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from maintenance.errors import CannotWrite

from . import names, sidecars
from .destination import Destination
from .errors import ManifestBroken, SidecarBroken
from .manifest import Manifest
from .sidecars import Entry, Pinned, Sidecar, SidecarKind, Verified

LATEST: Final = "latest"
STAGING: Final = ".maintenance-staging-"


@dataclass(frozen=True)
class Catalog:
    """The backups of a destination, oldest first; what cannot be read; the names of all other files."""

    entries: tuple[Entry, ...]
    broken: tuple[str, ...]
    files: tuple[str, ...]
    sidecars: tuple[str, ...] = ()
    lost: tuple[Manifest, ...] = ()
    """Manifests whose data is gone: they can't be restored, and are not counted."""

    @property
    def backups(self) -> tuple[Manifest, ...]:
        """The backups' manifests, oldest first."""
        return tuple(entry.manifest for entry in self.entries)

    def of(self, alias: str, kind: str = names.DATABASE) -> tuple[Manifest, ...]:
        """Return the backups of one database: by what their manifests say, never by their names."""
        return tuple(backup for backup in self.backups if (backup.alias, backup.kind) == (alias, kind))

    def matching(self, *, aliases: Collection[str] = (), tag: str = "") -> tuple[Entry, ...]:
        """Return the backups of these databases (or of all) with this tag (or any)."""
        ours = {(alias, names.DATABASE) for alias in aliases}
        wanted = (entry for entry in self.entries if not aliases or entry.group[:2] in ours)
        return tuple(entry for entry in wanted if not tag or entry.manifest.tag == tag)


@dataclass(frozen=True)
class Leftovers:
    """What killed runs left behind: data without a manifest, and staging folders."""

    files: tuple[str, ...]
    folders: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files) + len(self.folders)


def read(storage: Storage) -> Catalog:
    """Return what ``storage`` holds. A storage whose folder does not exist yet holds nothing."""
    try:
        _, files = storage.listdir("")
    except FileNotFoundError:
        files = []
    entries, lost, broken = [], [], []
    present = set(files)
    for name in filter(names.manifest_id, files):
        try:
            found = Manifest.from_json(_content(storage, name), name=name)
        except ManifestBroken:
            broken.append(name)
            continue
        if found.file in present:
            entries.append(_joined(storage, found, present, broken))
        else:
            lost.append(found)
    return Catalog(
        entries=tuple(sorted(entries, key=lambda one: _age(one.manifest))),
        broken=tuple(sorted(broken)),
        files=tuple(sorted(filter(names.owner, files))),
        sidecars=tuple(sorted(filter(sidecars.owner, files))),
        lost=tuple(sorted(lost, key=_age)),
    )


def _joined(storage: Storage, found: Manifest, present: Collection[str], broken: list[str]) -> Entry:
    verified = _look(storage, found, Verified, present, broken)
    pinned = _look(storage, found, Pinned, present, broken)
    if pinned is None and sidecars.name(found.id, Pinned) in present:
        pinned = Pinned(found.started, "?")  # it cannot be read, but somebody wants the backup kept
    return Entry(found, verified, pinned)


def _look(
    storage: Storage, of: Manifest, kind: type[SidecarKind], present: Collection[str], broken: list[str]
) -> SidecarKind | None:
    name = sidecars.name(of.id, kind)
    if name not in present:
        return None
    try:
        return sidecars.from_json(_content(storage, name), kind, file=name)
    except SidecarBroken:
        broken.append(name)
        return None


def leftovers(catalog: Catalog, destination: Destination, *, alias: str, started: datetime) -> Leftovers:
    """Return what runs of ``alias`` that began before ``started`` left behind.

    Only for the holder of the alias' lease: nobody else can be at work on those then.
    """
    there = {backup.id for backup in (*catalog.backups, *catalog.lost)}
    whole = there | {names.manifest_id(name) for name in catalog.broken}
    # Who removes a backup removes its sidecars before its data: one that is alone was written too late.
    files = [name for name in catalog.sidecars if sidecars.owner(name) not in whole and _old(name, started)]
    for name in catalog.files:
        of = names.owner(name)
        if of and of.alias == alias and of.id not in whole and names.started_second(of.id) < started:
            files.append(name)
    folders = []
    for folder in sorted(destination.staging.glob(f"{STAGING}*")):
        of = names.owner(folder.name.removeprefix(STAGING))
        if of and of.alias == alias and names.started_second(of.id) < started - destination.staging_age:
            folders.append(folder)
    return Leftovers(tuple(files), tuple(folders))


def _old(sidecar: str, started: datetime) -> bool:
    return names.started_second(sidecars.owner(sidecar) or "") < started


def sweep(storage: Storage, found: Leftovers) -> None:
    """Remove leftovers."""
    for name in found.files:
        storage.delete(name)
    for folder in found.folders:
        shutil.rmtree(folder)


def remove(storage: Storage, backup: Manifest) -> None:
    """Remove a backup: its manifest first, so that it is gone before its data is."""
    storage.delete(backup.name)
    for kind in (Verified, Pinned):
        storage.delete(sidecars.name(backup.id, kind))
    storage.delete(backup.file)


def note(storage: Storage, backup: Manifest, sidecar: Sidecar) -> None:
    """Write a sidecar beside ``backup``, in place of an earlier one. Raises CannotWrite."""
    name = sidecars.name(backup.id, type(sidecar))
    storage.delete(name)
    taken = storage.save(name, ContentFile(sidecars.to_json(sidecar)))
    if taken != name:
        storage.delete(taken)
        raise CannotWrite(path=name, reason=f"the storage called it {taken!r}")


def learnt(storage: Storage, backup: Manifest, kind: type[SidecarKind]) -> SidecarKind | None:
    """Return a sidecar of ``backup``; None where there is none that can be read."""
    name = sidecars.name(backup.id, kind)
    return _look(storage, backup, kind, [name] if storage.exists(name) else [], [])


def forget(storage: Storage, backup: Manifest, kind: type[Sidecar]) -> None:
    """Remove a sidecar of ``backup``, if there is one."""
    storage.delete(sidecars.name(backup.id, kind))


def _content(storage: Storage, name: str) -> bytes:
    with storage.open(name) as file:
        return bytes(file.read())


def _age(backup: Manifest) -> tuple[datetime, str]:
    return backup.started, backup.id
