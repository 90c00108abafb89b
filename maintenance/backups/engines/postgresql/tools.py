"""PostgreSQL's client programs: where they are, and which fits a server."""

import os
import re
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from maintenance import pipes
from maintenance.backups.errors import ToolMissing, ToolTooOld
from maintenance.process import Command

# Debian's, Red Hat's, Homebrew's.
_FOLDERS: Final = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
# Debian's script on PATH, a tenth of a second slow; what it starts is in one of those folders.
_WRAPPER: Final = "pg_wrapper"


class Tool(NamedTuple):
    """A program and its major version."""

    path: str
    major: int
    version: str


def find(name: str, *, server: int) -> Tool:
    """Return the program ``name`` of the server's major version, else the oldest newer one.

    Newer ones may write what an older server does not understand; older ones refuse a newer server.
    Raises ToolMissing, ToolTooOld, which name the package.
    """
    found = sorted(_installed(name, os.environ.get("PATH", "")), key=lambda tool: tool.major)
    package = f"postgresql-client-{server}"
    if not found:
        raise ToolMissing(tool=name, package=package)
    fitting = next((tool for tool in found if tool.major >= server), None)
    if fitting is None:
        newest = found[-1]
        raise ToolTooOld(tool=newest.path, version=newest.version, server=server, package=package)
    return fitting


@lru_cache
def _installed(name: str, path: str) -> tuple[Tool, ...]:
    return tuple(tool for place in _places(name, path) if (tool := _asked(place)))


def _places(name: str, path: str) -> Iterator[str]:
    known = (str(folder) for pattern in _FOLDERS for folder in sorted(Path("/").glob(pattern)))
    for folder in (*path.split(os.pathsep), *known):
        place = shutil.which(name, path=folder) if folder else None
        if place and Path(place).resolve().name != _WRAPPER:
            yield place


def _asked(place: str) -> Tool | None:
    said = b""
    try:
        with pipes.running(Command((place, "--version")), waiting=lambda: None) as program:
            said = b"".join(program.chunks())
    except (pipes.ProgramFailed, pipes.ProgramMissing):
        return None  # Debian's wrapper without any cluster, or a broken installation: no such tool
    version = re.search(rb"(\d+)[.\w]*", said)
    return Tool(place, int(version[1]), version[0].decode()) if version else None
