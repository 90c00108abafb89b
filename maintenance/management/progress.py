"""A progress bar on a terminal, and nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from django.core.management.base import OutputWrapper


@contextmanager
def bar(
    terminal: OutputWrapper, *, what: str, total: Callable[[], int], no_color: bool, quiet: bool
) -> Iterator[Callable[[int], None]]:
    """Give what is told of each step done. ``total`` is asked on a terminal only: counting takes its time."""
    if quiet or not terminal.isatty():
        yield lambda number: None
        return
    # Not above: it takes a tenth of a second, for nothing where there is no terminal.
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=cast(TextIO, terminal), no_color=no_color or None, highlight=False)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=total())
        yield lambda number: progress.advance(task, number)
