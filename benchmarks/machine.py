"""One line that names the machine of a measurement."""

import os
import platform
from datetime import date


def describe() -> str:
    """Return date, CPU count, system and Python of this machine."""
    system = platform.freedesktop_os_release()["PRETTY_NAME"] if hasattr(platform, "freedesktop_os_release") else ""
    name = f"{os.cpu_count()} cores, {system or platform.system()}, Python {platform.python_version()}"
    return f"{date.today().isoformat()}, {name}"
