"""Where backups are stored, and where they are prepared before that."""

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.utils.module_loading import import_string

from maintenance.errors import CannotWrite
from maintenance.process import redact

from .errors import OutOfSpace, StorageFailed, UnknownDestination

Answer = TypeVar("Answer")

# The base classes of what the packages behind django-storages raise; they have none in common.
_ERRORS: Final = (
    "azure.core.exceptions.AzureError",
    "boto3.exceptions.Boto3Error",
    "botocore.exceptions.BotoCoreError",
    "botocore.exceptions.ClientError",
    "dropbox.exceptions.DropboxException",
    "ftplib.Error",
    "google.api_core.exceptions.GoogleAPIError",
    "google.auth.exceptions.GoogleAuthError",
    "http.client.HTTPException",
    "libcloud.common.types.LibcloudError",
    "paramiko.ssh_exception.SSHException",
    "urllib3.exceptions.HTTPError",
)
_PRIVATE: Final[dict[str, Any]] = {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}


class Remote(Storage):
    """A storage whose package's own errors become StorageFailed."""

    def __init__(self, storage: Storage, *, label: str, secrets: Iterable[str] = ()) -> None:
        self._storage, self._label, self._hidden = storage, label, tuple(secrets)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """See Storage."""
        return self._asked("list", path, lambda: self._storage.listdir(path))

    def open(self, name: str, mode: str = "rb") -> "File[Any]":
        """See Storage."""
        return self._asked("open", name, lambda: self._storage.open(name, mode))

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """See Storage."""
        return self._asked("store", name, lambda: self._storage.save(name, content, max_length))

    def delete(self, name: str) -> None:
        """See Storage."""
        self._asked("delete", name, lambda: self._storage.delete(name))

    def exists(self, name: str) -> bool:
        """See Storage."""
        return self._asked("look for", name, lambda: self._storage.exists(name))

    def size(self, name: str) -> int:
        """See Storage."""
        return self._asked("measure", name, lambda: self._storage.size(name))

    def _asked(self, act: str, name: str | None, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except _foreign() as error:
            reason = redact(str(error) or type(error).__name__, self._hidden)
            raise StorageFailed(where=self._label, act=act, name=name, reason=reason) from error


def _foreign() -> tuple[type[Exception], ...]:
    """Return the errors of the storages' packages that are imported; what else they raise are OSErrors, or bugs."""
    places = (path.rpartition(".") for path in _ERRORS)
    return tuple(getattr(sys.modules[module], name) for module, _, name in places if module in sys.modules)


@dataclass(frozen=True)
class Destination:
    """A storage, its name for people, and the folder in which files are staged for it."""

    storage: Storage = field(repr=False)
    label: str
    staging: Path
    staging_age: timedelta
    """A staging folder is swept only when it is older: others use the machine's temp folder too."""
    alias: str = ""
    """Its name in STORAGES."""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine: then a file that is staged in it is stored by renaming."""
        return isinstance(self.storage, FileSystemStorage)


def choose(*, alias: str, configured: Mapping[str, Any], root: Path) -> Destination:
    """Return ``STORAGES[alias]`` when it is ``configured``, else a private folder at ``root``.

    Files on this machine get mode 0600 and new folders 0700, unless the storage's OPTIONS say otherwise.
    """
    if alias not in configured:
        return _local(FileSystemStorage(location=root.resolve(), **_PRIVATE), alias)
    params = configured[alias]
    cls = import_string(params["BACKEND"])
    if isinstance(cls, type) and issubclass(cls, FileSystemStorage):
        options = {**_PRIVATE, **(params.get("OPTIONS") or {})}
        return _local(storages.create_storage({**params, "OPTIONS": options}), alias)
    label = f'STORAGES["{alias}"]'
    return Destination(
        storage=Remote(storages[alias], label=label, secrets=_secrets(params.get("OPTIONS") or {})),
        label=label,
        staging=Path(tempfile.gettempdir()),
        staging_age=timedelta(days=1),
        alias=alias,
    )


def choose_all(
    *,
    aliases: Sequence[str],
    only: Sequence[str] = (),
    configured: Mapping[str, Any],
    root: Path,
    staging: Path | None = None,
) -> tuple[Destination, ...]:
    """Return the destinations ``aliases``, or of them those in ``only``; ``staging`` replaces the temp folder.

    Raises UnknownDestination.
    """
    for name in only:
        if name not in aliases:
            raise UnknownDestination(name=name, known=", ".join(map(repr, aliases)))
    found = (choose(alias=alias, configured=configured, root=root) for alias in dict.fromkeys(only or aliases))
    return tuple(replace(one, staging=staging) if staging and not one.is_local else one for one in found)


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


def _secrets(options: Mapping[str, Any]) -> list[str]:
    """Return the values of a storage's OPTIONS that nobody may see."""
    telling = ("secret", "password", "token", "key", "credential", "sas", "connection_string")
    return [value for name, value in options.items() if isinstance(value, str) and any(t in name for t in telling)]


def _local(storage: Any, alias: str) -> Destination:
    folder = Path(storage.location)
    # On the same file system, storing is a rename: no second copy, no half file under the final name.
    return Destination(storage, str(folder), staging=folder, staging_age=timedelta(0), alias=alias)
