"""Bytes on their way back: read, decrypted, decompressed; every length and hash compared, in constant memory."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from django.core.files.storage import Storage

from . import crypt
from .errors import Damaged, IdentityMissing, IdentityRefused, StorageUnreadable
from .manifest import Manifest
from .streams import CHUNK, behind

Sink = Callable[[bytes], object]
Progress = Callable[[int], object]
"""Is told how many stored bytes were read."""


class Stored:
    """A backup's file while it is read: what came is counted and hashed."""

    def __init__(self, file: BinaryIO, backup: Manifest, progress: Progress) -> None:
        self._file, self._backup, self._progress = file, backup, progress
        self._hash, self._size = hashlib.sha256(), 0

    def read(self, size: int = CHUNK, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        try:
            piece = self._file.read(max(size, 1) if size >= 0 else CHUNK)
        except OSError as error:
            raise StorageUnreadable(file=self._backup.file, reason=error.strerror or str(error)) from error
        self._hash.update(piece)
        self._size += len(piece)
        if piece:
            self._progress(len(piece))
        return piece

    def finish(self) -> None:
        """Read the rest, and compare the whole with the manifest. Raises Damaged."""
        while self._size <= self._backup.stored_bytes and self.read():
            pass
        _compare(self._backup, "stored", self._size, self._hash.hexdigest())


class Plain:
    """A dump while it comes out: counted, passed on, hashed beside that, but never more than the manifest says."""

    def __init__(self, backup: Manifest, sink: Sink, hashing: Callable[[bytes], None]) -> None:
        self._backup, self._sink, self._hashing = backup, sink, hashing
        self.size = 0

    def write(self, piece: bytes) -> int:
        """Pass a piece on. Raises Damaged when it is one too many."""
        self.size += len(piece)
        if self.size > self._backup.plain_bytes:
            raise Damaged(id=self._backup.id, reason=f"it holds more than {self._backup.plain_bytes} bytes")
        self._hashing(piece)
        self._sink(piece)
        return len(piece)


def check_hash(storage: Storage, backup: Manifest, *, progress: Progress) -> None:
    """Compare the stored bytes with the manifest. Raises Damaged."""
    with _opened(storage, backup) as file:
        Stored(file, backup, progress).finish()


def unpack(storage: Storage, backup: Manifest, sink: Sink, *, identity: Path | None, progress: Progress) -> None:
    """Pass the dump to ``sink`` piece by piece; only after the return it is known to be whole.

    ``identity`` is the file with the private key. Raises Damaged, IdentityMissing, IdentityUnusable, IdentityRefused,
    EncryptionMissing, StorageUnreadable; errors of ``sink`` pass.
    """
    decrypt = crypt.decryption(_needed(identity, backup)) if backup.encryption else None
    digest = hashlib.sha256()
    with _opened(storage, backup) as file, behind(digest.update) as hashing:
        plain, stored = Plain(backup, sink, hashing), Stored(file, backup, progress)
        try:
            _decode(stored, plain, decrypt)
        except (zstandard.ZstdError, crypt.Undecryptable) as error:
            raise Damaged(id=backup.id, reason=str(error)) from error
        except crypt.WrongIdentity as error:
            stored.finish()
            raise IdentityRefused(id=backup.id, path=str(identity), to=", ".join(backup.recipients)) from error
        stored.finish()
    _compare(backup, "unpacked", plain.size, digest.hexdigest())


def _decode(stored: Stored, plain: Plain, decrypt: crypt.Encrypt | None) -> None:
    # stream_writer, since decompressobj would return whatever a piece unpacks to at once.
    with zstandard.ZstdDecompressor().stream_writer(cast("BinaryIO", plain), CHUNK, closefd=False) as decoder:
        if decrypt:
            decrypt(stored, decoder)
        else:
            while piece := stored.read():
                decoder.write(piece)


def _opened(storage: Storage, backup: Manifest) -> BinaryIO:
    try:
        return cast("BinaryIO", storage.open(backup.file))
    except FileNotFoundError as error:
        raise Damaged(id=backup.id, reason=f"its file {backup.file!r} is gone") from error


def _needed(identity: Path | None, backup: Manifest) -> Path:
    if identity is None:
        raise IdentityMissing(id=backup.id, to=", ".join(backup.recipients))
    return identity


def _compare(backup: Manifest, what: str, size: int, digest: str) -> None:
    expected = (backup.stored_bytes, backup.stored_sha256)
    if what != "stored":
        expected = (backup.plain_bytes, backup.plain_sha256)
    if size != expected[0]:
        more = "more" if size > expected[0] else "only"
        raise Damaged(id=backup.id, reason=f"{more} {size} {what} bytes instead of {expected[0]}")
    if digest != expected[1]:
        raise Damaged(id=backup.id, reason=f"the {what} bytes have another SHA-256 than the manifest's")
