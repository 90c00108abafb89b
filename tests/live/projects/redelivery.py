"""opsproject whose killed tasks come back after 3 s, and which backs up a second database."""

import os

from opsproject.settings import *  # noqa: F403
from opsproject.settings import CELERY_BROKER_TRANSPORT_OPTIONS, DATABASES, MAINTENANCE, VAR_DIR

CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "visibility_timeout": 3}
# In rollback-journal mode, so that a test can hold a backup up by locking the file.
DATABASES = {
    **DATABASES,
    "archive": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ARCHIVE", VAR_DIR / "archive.sqlite3"),
        "OPTIONS": {"timeout": 60},
    },
}
MAINTENANCE = {
    **MAINTENANCE,
    "WORKER": {**MAINTENANCE["WORKER"], "APP": "opsproject"},
    "BACKUPS": {**MAINTENANCE["BACKUPS"], "DATABASES": ["archive"]},
}
