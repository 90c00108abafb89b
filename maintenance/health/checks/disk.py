"""Disks: whether there is room left where the project writes."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...units import human_size
from ..base import Check, CouldNotAsk, Figure


@dataclass(repr=False)
class Disk(Check):
    """The disks of some folders have room."""

    folders: tuple[Path, ...] = (Path("var"),)
    least: int = 1_000_000_000
    id: ClassVar[str] = "disk"
    title: ClassVar[str] = "disk space"
    consequence: ClassVar[str] = "Once it is full, databases, brokers and backups there fail."
    cure: ClassVar[str] = "Make room (`manage.py prune_backups`, `manage.py clear_files`), or enlarge the disk."

    def ask(self) -> Iterator[str | Figure]:
        full, seen = [], set()
        for folder in self.folders:
            there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
            try:
                device, usage = there.stat().st_dev, shutil.disk_usage(there)
            except OSError as error:
                raise CouldNotAsk(f"{str(folder)!r} cannot be measured: {error.strerror}.") from error
            yield Figure("disk_free_bytes", usage.free, {"folder": str(folder)})
            if device in seen:
                continue
            seen.add(device)
            if usage.free < self.least:
                full.append(f"{human_size(usage.free)} of {human_size(usage.total)} are free at {str(folder)!r}.")
        if full:
            raise self.failed(" ".join(full))
        yield f"{len(seen)} with at least {human_size(self.least)} free."
