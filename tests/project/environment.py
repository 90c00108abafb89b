"""The environment that opsproject's settings read in tests/project: development mode, in a folder of its own.

A plugin (`-p tests.project.environment`), because pytest-django loads the settings before any conftest.
"""

import os
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="opsproject-")

# An empty variable counts as unset, and keeps a developer's .env from setting it.
_unset = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "CACHE_URL", "EMAIL_URL", "TIME_ZONE")
os.environ |= dict.fromkeys(_unset, "") | {"DEBUG": "1", "VAR_DIR": _folder.name}


def pytest_unconfigure() -> None:
    """Remove the folder."""
    _folder.cleanup()
