"""Bytes on their way to the storage: compressed, counted and hashed in one pass of constant memory."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import zstandard
from django.core.files import File

COMPRESSION: Final = "zstd"
_LEVEL: Final = 3
_THREADS: Final = 2
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Packed:
    """Sizes in bytes and SHA-256 of a stream before (``plain``) and after (``stored``) compression."""

    plain_bytes: int
    plain_sha256: str
    stored_bytes: int
    stored_sha256: str


class Staged(File):  # type: ignore[type-arg] # generic in its stubs only
    """A staged file. FileSystemStorage moves it (``temporary_file_path``), every other storage reads it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file, name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        """Return the path that may be moved away."""
        return str(self._path)


def create(path: Path) -> Path:
    """Create the empty file ``path`` with mode 0600. Raises FileExistsError when it is there already."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def pack(source: Path, target: Path, *, beat: Callable[[], None]) -> Packed:
    """Compress ``source`` into the new file ``target`` (zstd level 3 with checksum). ``beat`` is called at each MB."""
    plain, stored = hashlib.sha256(), hashlib.sha256()
    size = source.stat().st_size
    packer = zstandard.ZstdCompressor(level=_LEVEL, threads=_THREADS, write_checksum=True).compressobj(size=size)
    plain_bytes = stored_bytes = 0
    with source.open("rb") as reader, create(target).open("wb") as writer:

        def put(piece: bytes) -> int:
            stored.update(piece)
            return writer.write(piece)

        while chunk := reader.read(_CHUNK):
            plain.update(chunk)
            plain_bytes += len(chunk)
            stored_bytes += put(packer.compress(chunk))
            beat()
        stored_bytes += put(packer.flush())
        writer.flush()
        os.fsync(writer.fileno())
    return Packed(plain_bytes, plain.hexdigest(), stored_bytes, stored.hexdigest())


@contextmanager
def staged(path: Path) -> Iterator["File[Any]"]:
    """Open a staged file for a storage to take."""
    with path.open("rb") as file:
        yield Staged(file, path)
