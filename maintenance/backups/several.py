"""Several backups in one run: one that fails does not keep the others from theirs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from maintenance.errors import ConfigurationError, MaintenanceError

from .errors import SeveralFailed

Planned = TypeVar("Planned")
Made = TypeVar("Made")


def each(
    aliases: Iterable[str],
    plan: Callable[[str], Planned],
    make: Callable[[Planned], Made],
) -> tuple[Made, ...]:
    """Plan and make the backup of each alias; one that fails does not keep the others from theirs.

    Raises ConfigurationError at once; at the end the error of the one that failed, or SeveralFailed.
    """
    plans: dict[str, Planned] = {}
    failed: dict[str, MaintenanceError] = {}
    made: list[Made] = []
    for alias in dict.fromkeys(aliases):
        with _kept(alias, failed):
            plans[alias] = plan(alias)
    for alias, one in plans.items():
        with _kept(alias, failed):
            made.append(make(one))
    if len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        raise SeveralFailed(aliases=", ".join(map(repr, failed)), reasons=" ".join(map(str, failed.values())))
    return tuple(made)


@contextmanager
def _kept(alias: str, failed: dict[str, MaintenanceError]) -> Iterator[None]:
    try:
        yield
    except ConfigurationError:
        raise
    except MaintenanceError as error:
        failed[alias] = error
