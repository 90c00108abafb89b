"""Everything that may foreseeably go wrong: the message, the exit code and the cure.

A class's docstring is its message; ``{names}`` in it are filled from the keyword arguments.
Exit codes: 1 failed · 2 flags or configuration wrong · 3 changes pending · 4 refused by a guard ·
5 verification failed · 69 service or program unavailable · 70 watchdog · 73 cannot write · 75 out of time.
"""

import string
from typing import Any, ClassVar


class MaintenanceError(Exception):
    """{message}"""

    exit_code: ClassVar[int] = 1
    hint: ClassVar[str] = ""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(f"{self.message} {self.cure}".strip())

    @property
    def message(self) -> str:
        """What happened, to what."""
        return string.Formatter().vformat(self.__doc__ or type(self).__name__, (), self.facts)

    @property
    def cure(self) -> str:
        """What to do about it, or an empty string."""
        return string.Formatter().vformat(self.hint, (), self.facts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling by process pools: keyword arguments are not positional."""
        return _rebuild, (type(self), self.facts)


def _rebuild(cls: type[MaintenanceError], facts: dict[str, object]) -> MaintenanceError:
    return cls(**facts)


class ConfigurationError(MaintenanceError):
    """{problem}."""

    exit_code = 2


class UnknownSetting(ConfigurationError):
    """Unknown key {key!r} in {where}."""

    hint = "{suggestion}"


class BadSetting(ConfigurationError):
    """{where}[{key!r}] is {value!r}: it must be {expected}."""


class AppNotInstalled(ConfigurationError):
    """This needs {package!r}, which is not installed in this project."""

    hint = 'Run `pip install {distribution}` and add "{package}" to INSTALLED_APPS, then run `manage.py migrate`.'


class CeleryAppMissing(ConfigurationError):
    """No Celery app was found ({tried})."""

    hint = 'Pass -A package, or set MAINTENANCE["WORKER"]["APP"] = "package".'


class LockHeld(MaintenanceError):
    """{name!r} is locked by {holder!r} since {since}."""

    exit_code = 4
    hint = "Wait until it is done; the lock expires by itself at {expires}."


class AlreadyDone(MaintenanceError):
    """{name!r} was already done by {holder!r}, at {finished}."""

    exit_code = 4


class Unavailable(MaintenanceError):
    """{service} is unavailable: {reason}."""

    exit_code = 69


class CannotWrite(MaintenanceError):
    """Cannot write {path!r}: {reason}."""

    exit_code = 73
    hint = "Make it writable for this user, or choose another place."


class NotConfirmed(MaintenanceError):
    """Not confirmed: nothing was changed."""

    exit_code = 4
    hint = "Answer y, or pass --noinput where nobody can answer."
