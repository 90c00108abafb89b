"""The archive of deleted results: one .jsonl.zst a run, a compressed frame a batch, on the disk before its rows go."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import zstandard
from django.db.models import QuerySet

from ..errors import CannotWrite

# Rows in memory at a time.
_CHUNK: Final = 200


class Archive:
    """A new file that rows are appended to. Removed again when nothing was written."""

    def __init__(self, folder: Path, *, now: datetime) -> None:
        """Create the file. Raises CannotWrite."""
        self.path = folder / f"results-{now:%Y%m%dT%H%M%S.%f}.jsonl.zst"
        self.rows = 0
        self._good = 0
        with _writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # Results tell as much as the database: only this user reads them.
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            _sync_folder(folder)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._fd)
        if not self._good:
            self.path.unlink(missing_ok=True)

    @property
    def size_bytes(self) -> int:
        """How large the file is."""
        return self._good

    def save(self, rows: QuerySet[Any]) -> None:
        """Append ``rows`` and wait until they are on the disk; what cannot be written whole is cut off again.

        Raises CannotWrite.
        """
        saved = 0
        table = rows.model._meta.model_name
        try:
            with _writing(self.path):
                with (
                    open(self._fd, "ab", closefd=False) as file,
                    zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as frame,
                ):
                    for row in rows.order_by("pk").values().iterator(chunk_size=_CHUNK):
                        frame.write(json.dumps({"table": table, **row}, default=_text).encode() + b"\n")
                        saved += 1
                os.fsync(self._fd)
                self._good = os.fstat(self._fd).st_size
        except BaseException:
            os.ftruncate(self._fd, self._good)
            raise
        self.rows += saved


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(path=str(path), reason=error.strerror or str(error)) from error


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut. Windows cannot open folders, and writes names at once."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
