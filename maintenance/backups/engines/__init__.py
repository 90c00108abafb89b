"""The database engines that can be backed up."""

from typing import Final

from django.db import connections

from maintenance.backups.errors import EngineUnsupported, UnknownDatabase

from . import sqlite

_NATIVE_TOOLS: Final = {
    "postgresql": "pg_dump -Fc and pg_restore",
    "mysql": "mariadb-dump --single-transaction (or mysqldump) and the client's `source`",
    "oracle": "expdp and impdp",
}


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
