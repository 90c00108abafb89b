"""opsproject with the traced tasks beside it."""

import os

from opsproject.settings import *  # noqa: F403
from opsproject.settings import CELERY_BROKER_TRANSPORT_OPTIONS, INSTALLED_APPS, MAINTENANCE

INSTALLED_APPS = [*INSTALLED_APPS, "tests.live.app"]
MAINTENANCE = {**MAINTENANCE, "WORKER": {**MAINTENANCE["WORKER"], "APP": "opsproject"}}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    **CELERY_BROKER_TRANSPORT_OPTIONS,
    **({"visibility_timeout": int(os.environ["VISIBILITY_TIMEOUT"])} if "VISIBILITY_TIMEOUT" in os.environ else {}),
}
