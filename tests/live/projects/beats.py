"""opsproject whose beat's lease is short, and whose tasks write down which due time they were sent for."""

import os

from .marks import *  # noqa: F403
from .marks import CELERY_BROKER_TRANSPORT_OPTIONS, MAINTENANCE

CELERY_BEAT_ENABLE_REMOTE_CONTROL = False  # run_beat turns it on
CELERY_BEAT_SCHEDULE = {}
CELERY_RESULT_EXPIRES = None  # type: ignore[assignment] # no celery.backend_cleanup
CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "socket_timeout": 2}
MAINTENANCE = {**MAINTENANCE, "BEAT": {"LEASE_TTL": os.environ.get("LEASE_TTL", "2s")}}
