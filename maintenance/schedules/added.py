"""Which names add_periodic_task gave to a second entry: Celery keeps the last one and says nothing."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from celery import Celery

_doubled: "WeakKeyDictionary[Celery, dict[str, None]]" = WeakKeyDictionary()


def watch() -> None:
    """Notice from now on what is added to any Celery app. The app's configuration calls it before any task is imported.

    Celery has no signal for it, and its own schedule forgets the first entry. _add_periodic_task is where all ways
    meet: what was added before the settings were read comes through it later.
    """
    base: Any = Celery
    if not hasattr(base._add_periodic_task, "__wrapped__"):
        base._add_periodic_task = _noticing(base._add_periodic_task)


def twice(app: Celery) -> tuple[str, ...]:
    """Return the names that were added a second time, for another entry."""
    return tuple(_doubled.get(app, ()))


def _noticing(add: Callable[..., None]) -> Callable[..., None]:
    @wraps(add)
    def noticing(app: Any, key: str, entry: Any, *args: Any, **kwargs: Any) -> None:
        # The settings of a moment ago: app.conf would read them again, and this is called while they are read.
        before = (app._conf.beat_schedule or {}).get(key, entry)
        if before != entry:
            _doubled.setdefault(app, {})[str(key)] = None
        add(app, key, entry, *args, **kwargs)

    return noticing
