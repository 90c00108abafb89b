"""Ctrl-C and SIGTERM as a wish: what is at work is finished, and nothing new begun."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Give what tells whether a stop was asked for. A second signal has its usual effect."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before: dict[signal.Signals, Any] = {each: signal.getsignal(each) for each in SIGNALS}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def ask(signum: int, frame: object) -> None:
        asked.set()
        restore()

    for each in SIGNALS:
        signal.signal(each, ask)
    try:
        yield asked.is_set
    finally:
        restore()
