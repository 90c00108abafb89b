"""Work beside a stream: counted and checked in a thread of its own while the dump goes on."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


@contextmanager
def aside(
    work: Callable[[], Result], *, stop: Callable[[], None], waiting: Callable[[], None]
) -> Iterator[Callable[[], Result]]:
    """Do ``work`` in a thread for the length of a block; give what waits for its result, or raises its error.

    ``waiting`` is called each second of that. Where the block ends before the work, ``stop`` has to end it.
    """
    with ThreadPoolExecutor(1) as threads:
        doing = threads.submit(work)

        def result() -> Result:
            while not wait([doing], timeout=1).done:
                waiting()
            return doing.result()

        try:
            yield result
        finally:
            if not doing.done():
                stop()
