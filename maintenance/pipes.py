"""Programs whose output or input streams through us: they never outlive us, and no failure of theirs goes unseen."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from . import process
from .errors import MaintenanceError, Unavailable
from .process import Command

_CHUNK: Final = 1 << 18
_WAITING: Final = 8
_SAID: Final = 8192
# How often whoever waits for the program is told that it still works, in seconds.
_EVERY: Final = 1.0


class ProgramMissing(Unavailable):
    """The program {program!r} cannot be started: {reason}."""

    hint = "Install it, or put it on PATH."


class ProgramFailed(MaintenanceError):
    """{program} ended with status {status}: {said}"""


@contextmanager
def running(command: Command, *, feed: bool = False, waiting: Callable[[], None]) -> "Iterator[Running]":
    """Run ``command`` in a session of its own for the length of a block; it is killed when the block fails or we die.

    ``waiting`` is called each second in which it is waited for, and may raise. With ``feed`` it has an input to write
    to. Raises ProgramMissing; and at the end of the block ProgramFailed unless the program ended with 0.
    """
    try:
        child = process.start(
            command, dies_with_us=True, own_group=True, piped=True, stdin=process.PIPE if feed else process.NOTHING
        )
    except OSError as error:
        raise ProgramMissing(program=command.args[0], reason=error.strerror or str(error)) from error
    program = Running(command, child, waiting=waiting)
    try:
        yield program
        program.finish()
    finally:
        program.close()


class Running:
    """A started program. Its stderr is drained from the start, its stdout and stdin are read and written ahead."""

    def __init__(self, command: Command, child: Any, *, waiting: Callable[[], None]) -> None:
        self._command, self._child, self._waiting = command, child, waiting
        self._said, self._at_end, self._fed, self._closing = b"", False, False, threading.Event()
        self._out: queue.Queue[bytes] = queue.Queue(_WAITING)
        self._in: queue.Queue[bytes] = queue.Queue(_WAITING)
        self._threads = [self._thread(self._drain, child.stderr), self._thread(self._collect, child.stdout)]
        self._supplier = self._thread(self._supply, child.stdin) if child.stdin else None

    @property
    def pid(self) -> int:
        """The program's process id."""
        return int(self._child.pid)

    @property
    def said(self) -> str:
        """The end of what it wrote to stderr, without secrets."""
        return self._command.redacted(self._said.decode(errors="replace")).strip()

    def chunks(self) -> Iterator[bytes]:
        """Yield what it writes to stdout, to its end. Raises ProgramFailed then, unless it ended with 0."""
        yield from self._pieces()
        self._require_success()

    def write(self, data: bytes) -> None:
        """Feed it ``data``. Raises ProgramFailed when it is gone."""
        self._patiently(lambda: self._give(data))

    def end_input(self) -> None:
        """Tell it that there is no more input. Raises ProgramFailed when it is gone."""
        if self._supplier and not self._fed:
            self._fed = True
            self.write(b"")

    def finish(self) -> None:
        """End its input, read the rest of its output, wait for its end. Raises ProgramFailed unless that was 0."""
        self.end_input()
        for _ in self._pieces():
            pass
        self._require_success()

    def close(self) -> None:
        """Kill it if it still runs, and let go of its pipes."""
        self._closing.set()
        process.end(self._child)
        for thread in (*self._threads, *([self._supplier] if self._supplier else ())):
            thread.join(_EVERY)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _pieces(self) -> Iterator[bytes]:
        while not self._at_end:
            chunk = self._patiently(self._take)
            self._at_end = not chunk
            if chunk:
                yield chunk

    def _require_success(self) -> None:
        status = self._patiently(lambda: process.wait(self._child, _EVERY))
        self._threads[0].join()
        if status:
            raise self._failure(status)

    def _patiently(self, attempt: "Callable[[], Any]") -> Any:
        """Return what ``attempt`` gives; it waits for a second and gives None when that was not enough."""
        while (found := attempt()) is None:
            self._waiting()
        return found

    def _take(self) -> bytes | None:
        with contextlib.suppress(queue.Empty):
            return self._out.get(timeout=_EVERY)
        return None

    def _give(self, data: bytes) -> bool | None:
        if self._supplier and not self._supplier.is_alive():
            status = self._patiently(lambda: process.wait(self._child, _EVERY))
            self._threads[0].join()
            raise self._failure(status)
        with contextlib.suppress(queue.Full):
            self._in.put(data, timeout=_EVERY)
            return True
        return None

    def _failure(self, status: int) -> ProgramFailed:
        said = self.said or ("it read only a part of its input" if status == 0 else "it did not say why")
        return ProgramFailed(program=self._command.args[0], status=status, said=said)

    def _thread(self, work: Callable[[Any], None], pipe: IO[bytes]) -> threading.Thread:
        thread = threading.Thread(target=work, args=(pipe,), daemon=True)
        thread.start()
        return thread

    def _drain(self, pipe: IO[bytes]) -> None:
        while piece := pipe.read(_SAID):
            self._said = (self._said + piece)[-_SAID:]

    def _collect(self, pipe: IO[bytes]) -> None:
        chunk = b"."
        while chunk and not self._closing.is_set():
            chunk = pipe.read(_CHUNK)
            while not self._closing.is_set():
                with contextlib.suppress(queue.Full):
                    self._out.put(chunk, timeout=0.1)
                    break

    def _supply(self, pipe: IO[bytes]) -> None:
        while not self._closing.is_set():
            try:
                data = self._in.get(timeout=0.1)
            except queue.Empty:
                continue
            if not data:
                break
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[pipe.write(rest) :]
            except BrokenPipeError:
                return
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
