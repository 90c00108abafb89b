"""opsproject with tasks that leave marks in a folder instead of results in a database."""

import os

from opsproject.settings import *  # noqa: F403
from opsproject.settings import CELERY_BROKER_TRANSPORT_OPTIONS

CELERY_IMPORTS = ("tests.live.projects.tasks",)
CELERY_RESULT_BACKEND = "disabled"
CELERY_TASK_ACKS_LATE = True
if "VISIBILITY_TIMEOUT" in os.environ:
    CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] = float(os.environ["VISIBILITY_TIMEOUT"])
