"""Which backups exist in a destination, which files are leftovers of killed runs, and removing either."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.core.files.storage import Storage

from . import manifest
from .destination import Destination
from .errors import ManifestBroken
from .manifest import Manifest

STAGING: Final = ".maintenance-staging-"


@dataclass(frozen=True)
class Catalog:
    """The backups of a destination, oldest first; the manifests that cannot be read; and the data files' names."""

    backups: tuple[Manifest, ...]
    broken: tuple[str, ...]
    files: tuple[str, ...]

    def of(self, alias: str, kind: str = manifest.DATABASE) -> tuple[Manifest, ...]:
        """Return the backups of one database: by what their manifests say, never by their names."""
        return tuple(backup for backup in self.backups if (backup.alias, backup.kind) == (alias, kind))


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
        _, names = storage.listdir("")
    except FileNotFoundError:
        names = []
    backups, broken = [], []
    for name in sorted(filter(manifest.manifest_id, names)):
        with storage.open(name) as file:
            content = file.read()
        try:
            backups.append(Manifest.from_json(content, name=name))
        except ManifestBroken:
            broken.append(name)
    files = tuple(sorted(filter(manifest.owner, names)))
    return Catalog(tuple(sorted(backups, key=lambda one: (one.started, one.id))), tuple(broken), files)


def leftovers(catalog: Catalog, destination: Destination, *, alias: str, started: datetime) -> Leftovers:
    """Return what runs of ``alias`` that began before ``started`` left behind.

    Only for the holder of the alias' lease: nobody else can be at work on those then.
    """
    whole = {manifest.manifest_id(name) for name in catalog.broken} | {backup.id for backup in catalog.backups}
    files = []
    for name in catalog.files:
        of = manifest.owner(name)
        if of and of.alias == alias and of.id not in whole and manifest.started_second(of.id) < started:
            files.append(name)
    folders = []
    for folder in sorted(destination.staging.glob(f"{STAGING}*")):
        of = manifest.owner(folder.name.removeprefix(STAGING))
        if of and of.alias == alias and manifest.started_second(of.id) < started - destination.staging_age:
            folders.append(folder)
    return Leftovers(tuple(files), tuple(folders))


def sweep(storage: Storage, found: Leftovers) -> None:
    """Remove leftovers."""
    for name in found.files:
        storage.delete(name)
    for folder in found.folders:
        shutil.rmtree(folder)


def remove(storage: Storage, backup: Manifest) -> None:
    """Remove a backup: its manifest first, so that it is gone before its data is."""
    storage.delete(backup.name)
    storage.delete(backup.file)
