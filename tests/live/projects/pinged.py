"""opsproject with a monitor for one of its schedules."""

import os

from opsproject.settings import *  # noqa: F403
from opsproject.settings import MAINTENANCE

MAINTENANCE = {**MAINTENANCE, "SCHEDULES": {"maintenance.clear_sessions": {"ping": os.environ["PING_URL"]}}}
