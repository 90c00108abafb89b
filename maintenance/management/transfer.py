"""A bar with bytes and rate on a terminal, for what moves data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from django.core.management.color import no_style

from maintenance.backups.pulse import Watch, nobody
from maintenance.management.base import Command


@contextmanager
def progress(command: Command, *, wanted: bool) -> Iterator[Watch]:
    """Give what draws a bar with bytes and rate on a terminal; elsewhere, nothing."""
    if not wanted or not command.verbosity or not command.stderr.isatty():
        yield nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=cast(TextIO, command.stderr), no_color=command.style is no_style() or None)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        yield _watching(bars)


def _watching(bars: Any) -> Callable[[str, int, int | None], None]:
    now: dict[str, Any] = {}

    def watch(stage: str, done: int, total: int | None) -> None:
        if stage not in now:
            for old in now.values():
                bars.remove_task(old)
            now.clear()
            now[stage] = bars.add_task(stage, total=total)
        bars.update(now[stage], completed=done, total=max(total, done) if total else None)

    return watch
