"""Whether there is room for a backup, before anything is written."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Final

from maintenance.units import human_size

from . import store
from .catalog import Catalog
from .destination import Destination
from .engines.source import Source
from .errors import NotEnoughSpace
from .names import kind_of

# What is expected of compression where no earlier backup tells.
_RATIO: Final = 0.5


def require(source: Source, destinations: Sequence[Destination], there: Mapping[str, Catalog]) -> None:
    """Raise NotEnoughSpace when a folder on this machine cannot hold what will be written to it, about.

    ``there`` is what the destinations hold: earlier backups tell how far this one will be compressed.
    """
    size = source.size_bytes or 0
    before = (backup for found in there.values() for backup in found.of(source.alias, kind_of(source.engine)))
    newest = max((one for one in before if one.plain_bytes), key=lambda one: one.started, default=None)
    packed = int(size * (newest.stored_bytes / newest.plain_bytes if newest else _RATIO))
    at_home = store.home(destinations)
    for destination in destinations:
        if destination is not at_home and not destination.is_local:
            continue
        folder = next(path for path in (destination.staging, *destination.staging.absolute().parents) if path.exists())
        needed = packed + (source.scratch_bytes if destination is at_home else 0)
        free = shutil.disk_usage(folder).free
        if free < needed:
            about = {"free": human_size(free), "needed": human_size(needed)}
            raise NotEnoughSpace(path=str(destination.staging), alias=source.alias, **about)
