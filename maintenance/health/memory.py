"""What was found a moment ago, for questions that are too dear to be asked each time. A memory a process."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """Remembers a value a key for ``seconds``, as long as its mark is the same. What raises is not remembered."""

    def __init__(self, seconds: float, *, most: int = 64) -> None:
        self.seconds, self._most = seconds, most
        self._kept: dict[Hashable, tuple[float, object, Value]] = {}
        self._lock = threading.Lock()

    def recall(self, key: Hashable, find: Callable[[], Value], *, mark: object = None) -> Value:
        """Return what is remembered, else what ``find`` returns now."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and kept[1] == mark and time.monotonic() - kept[0] < self.seconds:
            return kept[2]
        began = time.monotonic()
        value = find()
        with self._lock:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = (began, mark, value)
        return value

    def forget(self) -> None:
        """Ask anew next time."""
        with self._lock:
            self._kept.clear()
