"""What was found a moment ago, for questions that are too dear to be asked each time. A memory a process."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import Error, connections

from ..errors import MaintenanceError

Value = TypeVar("Value")


@dataclass
class _Kept(Generic[Value]):
    value: Value
    mark: object
    found: float
    renewing: bool = False


class Memory(Generic[Value]):
    """Remembers a value a key for ``seconds``, as long as its mark is the same. What raises is not remembered.

    With ``at_most`` (seconds, too) an older value still answers, while a new one is found aside: what takes longer
    than a request may, holds up the first one of a process only.
    """

    def __init__(
        self, seconds: float, *, at_most: float = 0.0, most: int = 64, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self._at_most, self._most, self._clock = seconds, at_most, most, clock
        self._kept: dict[Hashable, _Kept[Value]] = {}
        self._lock = threading.Lock()

    def recall(self, key: Hashable, find: Callable[[], Value], *, mark: object = None) -> Value:
        """Return what is remembered, else what ``find`` returns now."""
        now = self._clock()
        with self._lock:
            kept = self._kept.get(key)
            fresh = kept is not None and kept.mark == mark and now - kept.found < self.seconds
            renew = kept is not None and not fresh and not kept.renewing
            if kept is not None and (fresh or now - kept.found < self._at_most):
                kept.renewing |= renew
                if renew:
                    threading.Thread(
                        target=self._renew, args=(key, find, mark), name="health memory", daemon=True
                    ).start()
                return kept.value
        return self._find(key, find, mark)

    def forget(self) -> None:
        """Ask anew next time."""
        with self._lock:
            self._kept.clear()

    def _find(self, key: Hashable, find: Callable[[], Value], mark: object) -> Value:
        began = self._clock()
        value = find()
        with self._lock:
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = _Kept(value, mark, began)
        return value

    def _renew(self, key: Hashable, find: Callable[[], Value], mark: object) -> None:
        try:
            self._find(key, find, mark)
        except (Error, OSError, MaintenanceError):
            pass  # the next one asks itself, and tells
        finally:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept.renewing:
                    del self._kept[key]
            connections.close_all()  # of this thread
