"""What machine this is: platform, memory limit, and the grace that its host gives."""

import importlib
import posixpath
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_OF_THIS_PROCESS = Path("/proc/self/cgroup")
# cgroup v1 reports "no limit" as the largest page-aligned 64-bit number.
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Hosting:
    """The platform that runs this process and the time it leaves between SIGTERM and SIGKILL."""

    name: str
    grace: timedelta
    reason: str


def platform() -> str:
    """Return ``linux``, ``darwin`` or ``win32`` (sys.platform)."""
    return sys.platform


def hosting(environ: Mapping[str, str]) -> Hosting | None:
    """Return the hosting platform that the environment variables give away, or None.

    Graces: Heroku 30 s, Render 30 s, Railway 3 s unless RAILWAY_DEPLOYMENT_DRAINING_SECONDS is set, Dokku 30 s.
    """
    if "DYNO" in environ:
        return Hosting("Heroku", timedelta(seconds=30), "Heroku (DYNO) kills 30s after SIGTERM")
    if "RENDER" in environ:
        return Hosting("Render", timedelta(seconds=30), "Render (RENDER) kills 30s after SIGTERM by default")
    if any(name.startswith("RAILWAY_") for name in environ):
        draining = environ.get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "")
        if draining.isdigit():
            reason = f"Railway kills {draining}s after SIGTERM (RAILWAY_DEPLOYMENT_DRAINING_SECONDS)"
            return Hosting("Railway", timedelta(seconds=int(draining)), reason)
        reason = "Railway kills 3s after SIGTERM; raise RAILWAY_DEPLOYMENT_DRAINING_SECONDS"
        return Hosting("Railway", timedelta(seconds=3), reason)
    if any(name.startswith("DOKKU_") for name in environ):
        return Hosting("Dokku", timedelta(seconds=30), "Dokku (DOKKU_*) kills 30s after SIGTERM")
    return None


def memory_limit(root: Path = CGROUP_ROOT, cgroup: Path = CGROUP_OF_THIS_PROCESS) -> int | None:
    """Return the smallest memory limit of this process' cgroups in bytes (v2, else v1), or None."""
    limits = []
    for hierarchy, controllers, path in _cgroups(cgroup):
        if hierarchy == "0" and not controllers:
            limits += [_number(folder / "memory.max") for folder in _upwards(root, path)]
        elif "memory" in controllers.split(","):
            limits += [_number(folder / "memory.limit_in_bytes") for folder in _upwards(root / "memory", path)]
    found = [limit for limit in limits if limit is not None and limit < _UNLIMITED]
    return min(found, default=None)


def why_not_importable(module: str) -> str | None:
    """Return why ``module`` cannot be used on this machine, or None when it can. Imports it."""
    try:
        importlib.import_module(module)
    except (ImportError, AttributeError, NotImplementedError) as error:  # eventlet on a Python it does not know yet
        return str(error)
    return None


def _cgroups(cgroup: Path) -> list[tuple[str, str, str]]:
    try:
        lines = cgroup.read_text().splitlines()
    except OSError:
        return []
    parts = [line.split(":", 2) for line in lines]
    return [(part[0], part[1], part[2]) for part in parts if len(part) == 3]


def _upwards(root: Path, path: str) -> list[Path]:
    inside = posixpath.normpath("/" + path.lstrip("/"))
    folders = [root / inside.lstrip("/")]
    while inside != "/":
        inside = posixpath.dirname(inside)
        folders.append(root / inside.lstrip("/"))
    return folders


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None
