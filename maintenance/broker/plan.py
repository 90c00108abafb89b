"""What run_broker has to do for a project, and why: pure."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maintenance.project import masked
from maintenance.units import counted

from .address import filesystem_folders, socket_path, socket_url
from .server import Ready, Server, ServerMissing


@dataclass(frozen=True)
class Plan:
    """``valkey``: start the server. ``filesystem``: make the folders. ``foreign``: nothing to do."""

    kind: str
    broker_url: str
    """Without its password."""
    reason: str
    server: Server | None = None
    folders: tuple[Path, ...] = ()


def plan(*, broker_url: object, options: Mapping[str, Any], folder: Path | None, binary: Path | None) -> Plan:
    """Return what to do for ``broker_url`` where the embedded broker of ``folder`` may be started from ``binary``.

    Raises ServerMissing when the project counts on the embedded server and there is no binary.
    """
    shown = masked(broker_url)
    if str(broker_url).startswith("filesystem:"):
        reason = f"Messages are files in {options.get('data_folder_in')!r}: there is no broker to start."
        return Plan("filesystem", shown, reason, folders=filesystem_folders(options))
    socket = socket_path(folder.resolve()) if folder else None
    if folder is None or socket is None or broker_url != socket_url(socket):
        return Plan("foreign", shown, f"The broker is {shown}, not the embedded one: there is nothing to start.")
    if binary is None:
        raise ServerMissing(socket=str(socket))
    reason = f"The embedded broker of {str(folder)!r}, at {str(socket)!r}."
    return Plan("valkey", shown, reason, server=Server(binary, folder.resolve(), socket))


def explain(chosen: Plan) -> str:
    """Return the plan in words: its reason, then the command that it starts or the folders that it makes."""
    if chosen.server:
        return f"{chosen.reason}\nStarts {shlex.join(chosen.server.command().args)}"
    if chosen.folders:
        return f"{chosen.reason}\nMakes {', '.join(map(str, chosen.folders))}"
    return chosen.reason


def report(chosen: Plan, ready: Ready) -> str:
    """Return what became of a started plan, in words."""
    lines = [f"{chosen.reason} It answers (pid {ready.pid})."]
    returned, left = ready.returned.count, ready.returned.left
    if returned:
        lines.append(f"Returned {counted(returned, 'unacknowledged message')} to the queues.")
    if left:
        lines.append(
            f"Left {len(left)} in 'unacked', since they cannot be read or belong to no queue: {', '.join(left)}."
        )
    return "\n".join(lines)


def document(chosen: Plan, ready: Ready | None = None) -> dict[str, Any]:
    """Return the plan, and what became of it, as the facts of a JSON document."""
    server = chosen.server
    return {
        "kind": chosen.kind,
        "broker_url": chosen.broker_url,
        "reason": chosen.reason,
        "folder": server and server.folder,
        "socket": server and server.socket,
        "argv": list(server.command().args) if server else [],
        "folders": list(chosen.folders),
        "pid": ready and ready.pid,
        "returned": ready and ready.returned.count,
        "left": list(ready.returned.left) if ready else None,
    }
