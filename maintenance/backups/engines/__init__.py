"""The database engines that can be backed up: each a package, imported when its database is asked for."""

from importlib import import_module
from types import ModuleType
from typing import Final

from django.db import connections

from maintenance.backups.errors import EngineUnsupported, UnknownDatabase
from maintenance.backups.job import Reader

from .source import Source

# By what Django calls the vendor; manifests use the same names.
_ENGINES: Final = ("sqlite", "postgresql", "mysql")


def source(alias: str) -> Source:
    """Return what dumps the database ``alias``; servers are asked for their version and size.

    Raises UnknownDatabase, EngineUnsupported, DatabaseInMemory, DatabaseMissing, and of servers DatabaseUnreachable,
    ToolMissing, ToolTooOld.
    """
    found: Source = module(vendor(alias), "dump").source(alias, connections[alias])
    return found


def vendor(alias: str) -> str:
    """Return the engine of the database ``alias``. Raises UnknownDatabase, EngineUnsupported."""
    if alias not in connections:
        raise UnknownDatabase(alias=alias, known=", ".join(repr(known) for known in sorted(connections)))
    name: str = connections[alias].vendor
    if name not in _ENGINES:
        raise EngineUnsupported(alias=alias, engine=name)
    return name


def reader(engine: str) -> Reader:
    """Return the read side of a manifest's engine."""
    return module(engine, "restore")


def module(engine: str, name: str) -> ModuleType:
    """Return the module ``dump``, ``restore`` or ``connection`` of an engine."""
    return import_module(f"{__name__}.{engine}.{name}")
