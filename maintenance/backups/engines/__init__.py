"""The database engines that can be backed up."""

from importlib import import_module
from typing import Final

from django.db import connections

from maintenance.backups.errors import EngineUnsupported, UnknownDatabase
from maintenance.backups.job import Reader

from .sqlite import dump as sqlite

_NATIVE_TOOLS: Final = {
    "postgresql": "pg_dump -Fc and pg_restore",
    "mysql": "mariadb-dump --single-transaction (or mysqldump) and the client's `source`",
    "oracle": "expdp and impdp",
}


def reader(engine: str) -> Reader:
    """Return the read side of a manifest's engine."""
    return import_module(f"{__name__}.{engine}.restore")


def source(alias: str) -> sqlite.Source:
    """Return what is needed to copy the database ``alias``; nothing is opened.

    Raises UnknownDatabase, EngineUnsupported, DatabaseInMemory, DatabaseMissing.
    """
    if alias not in connections:
        raise UnknownDatabase(alias=alias, known=", ".join(repr(known) for known in sorted(connections)))
    connection = connections[alias]
    if connection.vendor != "sqlite":
        tool = _NATIVE_TOOLS.get(connection.vendor, "its own dump tool")
        raise EngineUnsupported(alias=alias, engine=connection.vendor, tool=tool)
    return sqlite.source(alias, connection.settings_dict)
