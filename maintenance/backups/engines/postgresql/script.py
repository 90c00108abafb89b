"""A script of pg_restore on its way to psql: its end, which commits, is held back until somebody lets it go."""

import threading
from collections.abc import Callable
from typing import Final

from maintenance import pipes
from maintenance.backups.found import Broken

_END: Final = b"\nCOMMIT;\n"
# After the COMMIT comes no more than a comment and a line for psql.
_TAIL: Final = 4096


class Script:
    """Passes a script on, all but its last bytes."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink, self._held = sink, b""

    def write(self, piece: bytes) -> None:
        """Pass on what came before, but never the end."""
        whole = self._held + piece
        self._held = whole[-_TAIL:]
        if len(whole) > _TAIL:
            self._sink(whole[:-_TAIL])

    def finish(self, check: str) -> None:
        """Put ``check`` before the commit, and let it go. Raises Broken when the script does not end with one."""
        before, end, after = self._held.rpartition(_END)
        if not end:
            raise Broken("the script of pg_restore has no end")
        self._sink(before + b"\n" + check.encode() + end + after)


class Relay:
    """A thread that passes on what one program writes, while we feed that program; its error becomes ours."""

    def __init__(self) -> None:
        self._trouble: list[BaseException] = []

    def check(self) -> None:
        """Raise what went wrong in the thread: whoever waits for a program calls this each second."""
        if self._trouble:
            raise self._trouble[0]

    def run(self, source: pipes.Running, sink: Callable[[bytes], object], feed: Callable[[], object]) -> None:
        """Call ``feed``, end the input of ``source``, and return when ``sink`` has got all that it wrote."""

        def pass_on() -> None:
            try:
                for piece in source.chunks():
                    sink(piece)
            except BaseException as error:  # noqa: BLE001 # raised again by check(), in the thread that waits
                self._trouble.append(error)

        thread = threading.Thread(target=pass_on, daemon=True)
        thread.start()
        feed()
        source.end_input()
        thread.join()
        self.check()
