"""MariaDB's and MySQL's client programs: where they are, and whose they are."""

import os
import re
import shutil
from functools import lru_cache
from typing import Final, NamedTuple

from maintenance import pipes
from maintenance.backups.errors import ToolMissing
from maintenance.process import Command

# By what they are for: MariaDB's name, MySQL's name (which MariaDB has too, as a link).
NAMES: Final = {"dump": ("mariadb-dump", "mysqldump"), "client": ("mariadb", "mysql")}


class Tool(NamedTuple):
    """A program, its version, and whether it is MariaDB's."""

    path: str
    version: str
    is_mariadb: bool


def find(purpose: str, *, mariadb: bool) -> Tool:
    """Return the ``dump`` or ``client`` program of the server's maker (``mariadb``), else the other's.

    Raises ToolMissing, which names the package.
    """
    found = _installed(purpose, os.environ.get("PATH", ""))
    if not found:
        package = "mariadb-client" if mariadb else "mysql-client"
        raise ToolMissing(tool=" or ".join(NAMES[purpose]), package=package)
    return next((tool for tool in found if tool.is_mariadb == mariadb), found[0])


@lru_cache
def _installed(purpose: str, path: str) -> tuple[Tool, ...]:
    places = filter(None, (shutil.which(name, path=path) for name in NAMES[purpose]))
    return tuple(tool for place in places if (tool := _asked(place)))


def _asked(place: str) -> Tool | None:
    try:
        with pipes.running(Command((place, "--no-defaults", "--version")), waiting=lambda: None) as program:
            said = b"".join(program.chunks()).decode(errors="replace")
    except (pipes.ProgramFailed, pipes.ProgramMissing):
        return None  # a broken installation: no such tool
    return Tool(place, version(said), "MariaDB" in said)


def version(said: str) -> str:
    """Return the version in what ``--version`` says: "Distrib" before MariaDB 11, then "from"; "Ver" is MySQL's."""
    found = (re.search(rf"\b{word}\s+(\d[\d.]*\d)", said) for word in ("Distrib", "from", "Ver"))
    return next((match[1] for match in found if match), "")
