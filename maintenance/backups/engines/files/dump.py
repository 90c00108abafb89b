"""Uploaded files: the files of any storage as a tar stream."""

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.core.files.storage import FileSystemStorage, Storage

from maintenance.backups import streams
from maintenance.backups.engines.source import Contents, Dump, matching
from maintenance.backups.errors import MediaChanged, MediaMissing
from maintenance.backups.pulse import Pulse
from maintenance.units import counted

ENGINE: Final = "files"
LABEL: Final = "files"
TOP: Final = "."
"""What the manifest calls the files that lie in no folder."""
_MODE: Final = 0o644
# A tar ends with two empty blocks.
_END: Final = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Source:
    """The files of a storage."""

    alias: str
    storage: Storage = field(repr=False)
    size_bytes: int | None
    skip: tuple[Path, ...] = ()
    """Folders inside that are no part of it: where backups lie."""
    engine: str = ENGINE
    label: str = LABEL
    scratch_bytes: int = 0
    warnings: tuple[str, ...] = ()

    @contextmanager
    def dump(self, *, folder: Path, exclude: Sequence[str], pulse: Pulse) -> Iterator[Dump]:
        """See engines.source.Source; ``exclude`` are globs of paths. Raises MediaChanged.

        Files are read one after the other: each is whole, but they are not of one moment.
        """
        tar = _Tar(self, exclude)
        yield Dump(tar.chunks(), tar.contents, self.size_bytes)


def source(alias: str, storage: Storage, *, skip: Sequence[Path] = ()) -> Source:
    """Return the files of ``storage`` under the name ``alias``. Raises MediaMissing."""
    size = None
    if isinstance(storage, FileSystemStorage):
        root = Path(storage.location)
        if not root.is_dir():
            raise MediaMissing(path=str(root))
        size = sum(storage.size(name) for name in _names(storage, "", skip))
    return Source(alias, storage, size, tuple(skip))


def _names(storage: Storage, folder: str, skip: Sequence[Path]) -> Iterator[str]:
    """Yield the paths of all files below ``folder``, sorted; links to folders are not followed."""
    folders, files = storage.listdir(folder)
    for name in sorted(files):
        yield f"{folder}/{name}" if folder else name
    for name in sorted(folders):
        inside = f"{folder}/{name}" if folder else name
        if not _is_left_out(storage, inside, skip):
            yield from _names(storage, inside, skip)


def _is_left_out(storage: Storage, folder: str, skip: Sequence[Path]) -> bool:
    if not isinstance(storage, FileSystemStorage):
        return False
    path = Path(storage.path(folder))
    return path.is_symlink() or path.resolve() in skip


class _Tar:
    """The files of a source on their way into a tar, counted."""

    def __init__(self, source: Source, exclude: Sequence[str]) -> None:
        self._source, self._exclude = source, exclude
        self._files: Counter[str] = Counter()
        self._excluded: list[str] = []
        self._gone: list[str] = []

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar."""
        storage = self._source.storage
        for name in _names(storage, "", self._source.skip):
            if matching([name], self._exclude):
                self._excluded.append(name)
                continue
            try:
                file = storage.open(name, "rb")
                changed = storage.get_modified_time(name)
            except FileNotFoundError:
                self._gone.append(name)
                continue
            with file:
                yield from _entry(name, file, changed)
            self._files[name.partition("/")[0] if "/" in name else TOP] += 1
        yield _END

    def contents(self) -> Contents:
        """Return what went into it; for ``tables`` the number of files by top folder."""
        warnings: tuple[str, ...] = ()
        if self._gone:
            were = counted(len(self._gone), "file was", "files were")
            warnings = (f"{were} deleted meanwhile, {self._gone[0]!r} for one.",)
        return Contents(dict(sorted(self._files.items())), {}, excluded=tuple(self._excluded), warnings=warnings)


def _entry(name: str, file: Any, changed: datetime) -> Iterator[bytes]:
    """Yield a file's header, content and padding; of one that grows meanwhile, what it was at first."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = file.size, changed.timestamp(), _MODE
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    left = info.size
    while left:
        piece = file.read(min(left, streams.CHUNK))
        if not piece:
            raise MediaChanged(name=name)
        left -= len(piece)
        yield piece
    yield bytes(-info.size % tarfile.BLOCKSIZE)
