"""Bytes on their way to the storage: compressed, encrypted, counted and hashed in one pass of constant memory."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import zstandard
from django.core.files import File

from .crypt import Encrypt

COMPRESSION: Final = "zstd"
_LEVEL: Final = 3
_THREADS: Final = 2
# What a thread takes at a time: zstd's own 8 MB need 70 MB of memory, these 20, and are no slower and no larger.
_JOB: Final = 2 << 20
# Tables of half the level's own size: they fit into a core's cache. A tenth less work, 0 to 1.3 % more bytes.
_TABLES: Final = {"hash_log": 16, "chain_log": 15}
# A piece that fits into a core's cache is still there for whoever takes it next: the hash, the compressor, the file.
CHUNK: Final = 1 << 18
# How many pieces may wait for a thread, so that the memory stays constant.
_AHEAD: Final = 4


@dataclass(frozen=True)
class Packed:
    """Sizes in bytes and SHA-256 of a stream: ``plain`` as it came, ``stored`` compressed and encrypted."""

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


def pack(
    plain: Iterable[bytes], target: Path, *, encrypt: Encrypt | None = None, pulse: Callable[[int], None]
) -> Packed:
    """Compress ``plain`` (zstd level 3 with checksum) and encrypt it into the new file ``target``.

    ``pulse`` is called with the size of each plain piece.
    """
    source = _Compressed(plain, pulse)
    with create(target).open("wb") as file:
        sink = _Hashed(file)
        if encrypt:
            encrypt(source, sink)
        else:
            while piece := source.next():
                sink.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return Packed(source.size, source.sha.hexdigest(), sink.size, sink.sha.hexdigest())


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's content."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def copy(source: Path, target: Path, *, pulse: Callable[[int], None]) -> Path:
    """Copy a staged file into the new file ``target``, mode 0600, which survives a power cut."""
    with create(target).open("wb") as file:
        for piece in pieces(source):
            file.write(piece)
            pulse(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return target


@contextmanager
def staged(path: Path) -> Iterator["File[Any]"]:
    """Open a staged file for a storage to take."""
    with path.open("rb") as file:
        yield Staged(file, path)


@contextmanager
def behind(sink: Callable[[bytes], object]) -> Iterator[Callable[[bytes], None]]:
    """Give what passes pieces on to ``sink`` in a thread beside; the block ends when it has taken them all.

    What ``sink`` raises is raised by one of the next pieces, or at the end.
    """
    with ThreadPoolExecutor(1) as thread:
        doing: deque[Future[object]] = deque()

        def put(piece: bytes) -> None:
            doing.append(thread.submit(sink, piece))
            if len(doing) > _AHEAD:
                doing.popleft().result()

        yield put
        while doing:
            doing.popleft().result()


def _parameters() -> zstandard.ZstdCompressionParameters:
    parallel = {"threads": _THREADS, "job_size": _JOB}
    return zstandard.ZstdCompressionParameters.from_level(_LEVEL, write_checksum=True, **parallel, **_TABLES)


class _Compressed:
    """Plain pieces as a compressed stream to read; it counts and hashes the plain bytes."""

    def __init__(self, plain: Iterable[bytes], pulse: Callable[[int], None]) -> None:
        self.size, self.sha = 0, hashlib.sha256()
        self._pieces = self._compressed(plain, pulse)
        self._rest = memoryview(b"")

    def next(self) -> bytes:
        """Return the next piece, none at the end."""
        return next(self._pieces, b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        if not self._rest:
            self._rest = memoryview(self.next())
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def _compressed(self, plain: Iterable[bytes], pulse: Callable[[int], None]) -> Iterator[bytes]:
        packer = zstandard.ZstdCompressor(compression_params=_parameters()).compressobj()
        for chunk in plain:
            self.sha.update(chunk)
            self.size += len(chunk)
            pulse(len(chunk))
            if piece := packer.compress(chunk):
                yield piece
        yield packer.flush()


class _Hashed:
    """A file to write to; it counts and hashes what it takes."""

    def __init__(self, file: BinaryIO) -> None:
        self.size, self.sha, self._file = 0, hashlib.sha256(), file

    def write(self, data: bytes, /) -> int:
        """Take ``data``."""
        self.sha.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Pass on what was taken."""
        self._file.flush()
