"""Putting a staged backup into its destinations: data first, the manifest last, sizes compared."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from maintenance import private
from maintenance.errors import CannotWrite, MaintenanceError

from . import catalog, streams
from .destination import Destination, settle, writing
from .errors import DestinationFailed, OutOfSpace, StorageFailed, StoredDiffers
from .manifest import Manifest


@dataclass(frozen=True)
class Staged:
    """A whole backup in a private folder that lies in ``home``, where there is a local destination."""

    data: Path
    manifest_file: Path
    manifest: Manifest
    home: Destination


def home(destinations: Sequence[Destination]) -> Destination:
    """Return the destination in which a backup is staged: the first local one, which then only renames it."""
    return next((one for one in destinations if one.is_local), destinations[0])


@contextmanager
def staging(destination: Destination, name: str) -> Iterator[Path]:
    """Make a private folder for the backup file ``name``, and remove it afterwards."""
    private.make(destination.staging)
    folder = destination.staging / f"{catalog.STAGING}{name}"
    folder.mkdir(mode=0o700)
    try:
        yield folder.absolute()
    finally:
        shutil.rmtree(folder)


def store(
    staged: Staged,
    destinations: Sequence[Destination],
    *,
    pulse: Callable[[int], None],
    last: Callable[[], object],
) -> None:
    """Store a backup in every destination; ``last`` is called before each manifest, and may raise.

    One that fails does not keep it from the others. Raises DestinationFailed, which names them, or with a single
    destination its error: CannotWrite, OutOfSpace, StoredDiffers.
    """
    failed: dict[str, MaintenanceError] = {}
    # Home comes last: it takes the staged file away.
    for destination in sorted(destinations, key=lambda one: one is staged.home):
        try:
            with writing(destination):
                _store_in(destination, staged, pulse=pulse, last=last)
        except (CannotWrite, OutOfSpace, StoredDiffers, StorageFailed) as error:
            failed[destination.label] = error
    if len(destinations) == 1 and failed:
        raise next(iter(failed.values()))
    if failed:
        _tell(staged.manifest, failed, [one.label for one in destinations if one.label not in failed])


def _store_in(
    destination: Destination, staged: Staged, *, pulse: Callable[[int], None], last: Callable[[], object]
) -> None:
    manifest = staged.manifest
    content = {manifest.file: staged.data, manifest.name: staged.manifest_file}
    with ExitStack() as undo:
        if destination is not staged.home and destination.is_local:
            folder = undo.enter_context(staging(destination, manifest.file))
            content = {name: streams.copy(path, folder / path.name, pulse=pulse) for name, path in content.items()}
        with ExitStack() as undo_data:
            for name, path in content.items():
                if name == manifest.name:
                    last()
                undo_data.callback(destination.storage.delete, name)
                _save(destination, path, name)
            undo_data.pop_all()


def _save(destination: Destination, file: Path, name: str) -> None:
    size = file.stat().st_size
    with streams.staged(file) as content:
        taken = destination.storage.save(name, content)
    if taken != name:
        destination.storage.delete(taken)
        raise StoredDiffers(where=destination.label, stored=taken, sent=name)
    stored = destination.storage.size(name)
    if stored != size:
        raise StoredDiffers(where=f"{destination.label}: {name}", stored=f"{stored} bytes", sent=f"{size} bytes")
    settle(destination)


def _tell(manifest: Manifest, failed: Mapping[str, MaintenanceError], stored: Sequence[str]) -> NoReturn:
    first = next(iter(failed.values()))
    raise DestinationFailed(
        id=manifest.id,
        alias=manifest.alias,
        failed=", ".join(map(repr, failed)),
        reason=" ".join(str(error) for error in failed.values()),
        others=f"It is whole in {', '.join(map(repr, stored))}." if stored else "It is nowhere.",
    ) from first
