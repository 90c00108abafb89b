"""Where backups are stored, and where they are prepared before that."""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.core.files.storage import FileSystemStorage, Storage, storages
from django.utils.module_loading import import_string

from maintenance.errors import CannotWrite

from .errors import OutOfSpace

_PRIVATE: Final[dict[str, Any]] = {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}


@dataclass(frozen=True)
class Destination:
    """A storage, its name for people, and the folder in which files are staged for it."""

    storage: Storage = field(repr=False)
    label: str
    staging: Path
    staging_age: timedelta
    """A staging folder is swept only when it is older: others use the machine's temp folder too."""


def choose(*, alias: str, configured: Mapping[str, Any], root: Path) -> Destination:
    """Return ``STORAGES[alias]`` when it is ``configured``, else a private folder at ``root``.

    Files on this machine get mode 0600 and new folders 0700, unless the storage's OPTIONS say otherwise.
    """
    if alias not in configured:
        return _local(FileSystemStorage(location=root.resolve(), **_PRIVATE))
    params = configured[alias]
    cls = import_string(params["BACKEND"])
    if isinstance(cls, type) and issubclass(cls, FileSystemStorage):
        options = {**_PRIVATE, **(params.get("OPTIONS") or {})}
        return _local(storages.create_storage({**params, "OPTIONS": options}))
    return Destination(
        storage=storages[alias],
        label=f'STORAGES["{alias}"]',
        staging=Path(tempfile.gettempdir()),
        staging_age=timedelta(days=1),
    )


def make_private(folder: Path) -> None:
    """Create ``folder`` and the parents it lacks with mode 0700, whatever the umask is; leave existing ones alone."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def writing(destination: Destination) -> Iterator[None]:
    """Turn what the operating system refuses into words. Raises OutOfSpace, CannotWrite."""
    try:
        yield
    except OSError as error:
        path = str(error.filename or destination.label)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace(path=path) from error
        raise CannotWrite(path=path, reason=error.strerror or str(error)) from error


def settle(destination: Destination) -> None:
    """Make the names of the files just stored on this machine survive a power cut."""
    if isinstance(destination.storage, FileSystemStorage) and os.name == "posix":
        folder = os.open(destination.storage.location, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _local(storage: Any) -> Destination:
    folder = Path(storage.location)
    # On the same file system, storing is a rename: no second copy, no half file under the final name.
    return Destination(storage=storage, label=str(folder), staging=folder, staging_age=timedelta(0))
