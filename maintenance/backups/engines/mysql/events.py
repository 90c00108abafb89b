"""Takes the events out of a dump in SQL: in a scratch database they would run, and might touch the live one."""

from collections.abc import Callable
from typing import Final

_START: Final = b"\n--\n-- Dumping events for database '"
# Routines follow, since every dump of ours asks for them.
_END: Final = b"\n--\n-- Dumping routines for database '"


class WithoutEvents:
    """Passes a dump on, all but the section of the events, which it keeps."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink, self._held = sink, b""
        self._began = self._ended = False
        self.section = b""

    def write(self, piece: bytes) -> None:
        """Pass a piece on."""
        if self._ended:
            self._sink(piece)
        elif self._began:
            self._keep(piece)
        else:
            self._look(self._held + piece)

    def finish(self) -> None:
        """Pass on what was held back."""
        self._sink(self._held)

    def _look(self, text: bytes) -> None:
        start = text.find(_START)
        if start < 0:
            # The mark may be cut in two.
            self._held = text[-len(_START) + 1 :]
            self._sink(text[: len(text) - len(self._held)])
            return
        self._began, self._held = True, b""
        self._sink(text[:start])
        self._keep(text[start:])

    def _keep(self, piece: bytes) -> None:
        self.section += piece
        end = self.section.find(_END)
        if end >= 0:
            self._ended = True
            self._sink(self.section[end:])
            self.section = self.section[:end]
