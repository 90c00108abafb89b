"""What a dump in SQL tells about itself on its way: whether it has an end, and which migrations it holds."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

# The last line of every dump that came to its end, whoever's program wrote it.
_TRAILER: Final = re.compile(rb"\n-- Dump completed[^\n]*\n\Z")
_TAIL: Final = 256
_MIGRATIONS: Final = b"\nINSERT INTO `django_migrations` VALUES"
_ROW: Final = re.compile(rb"\(\d+,'((?:[^'\\]|\\.|'')*)','((?:[^'\\]|\\.|'')*)',")
# More than any project's migrations take; whatever is longer is no such row.
_MOST: Final = 16_000_000


_ESCAPED: Final = re.compile(rb"\\(.)|''", re.DOTALL)
_MEANT: Final = {b"n": b"\n", b"r": b"\r", b"0": b"\0", b"Z": b"\x1a"}


class Told:
    """Passes a dump on, and looks at it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._tail = b"\n"
        self._rows: list[bytes] = []
        self._open = b""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks."""
        for chunk in self._chunks:
            self._look(chunk)
            yield chunk

    @property
    def ended(self) -> bool:
        """Whether the last line says that the dump is complete."""
        return bool(_TRAILER.search(self._tail))

    @property
    def migrations(self) -> list[tuple[str, str]]:
        """The applied migrations (app, name) of the dump's own snapshot."""
        found = (_ROW.findall(statement) for statement in self._rows)
        return [(_text(app), _text(name)) for rows in found for app, name in rows]

    def _look(self, chunk: bytes) -> None:
        text = self._tail + chunk
        if self._open:
            self._take(self._open + chunk)
        else:
            start = text.find(_MIGRATIONS, max(0, len(self._tail) - len(_MIGRATIONS) + 1))
            if start >= 0:
                self._take(text[start:])
        self._tail = text[-_TAIL:]

    def _take(self, text: bytes) -> None:
        while True:
            end = text.find(b";\n", 1)
            if end < 0:
                self._open = text if len(text) < _MOST else b""
                return
            self._rows.append(text[:end])
            self._open = b""
            start = text.find(_MIGRATIONS, end)
            if start < 0:
                return
            text = text[start:]


def _text(quoted: bytes) -> str:
    """Return what a string of SQL stands for."""

    def meant(found: "re.Match[bytes]") -> bytes:
        letter: bytes | None = found[1]
        return b"'" if letter is None else _MEANT.get(letter, letter)

    return _ESCAPED.sub(meant, quoted).decode(errors="replace")
