"""Rules of the settings' names: what is misspelt, old or without its prefix is not read, and nobody says so."""

import difflib
from collections.abc import Iterator
from typing import Final

from celery.app.defaults import _TO_NEW_KEY, DEFAULTS  # type: ignore[attr-defined]

from .base import WARNING, Trouble, rule
from .facts import Facts

_OLD_NAMES: Final = frozenset(_TO_NEW_KEY) | {"CELERY_QUEUES"}
# Read by other packages, from Django's settings.
_OTHERS: Final = ("RESULT_", "BEAT_", "CACHE_", "TASK_RESULT_", "SINGLETON_", "ONCE_", "EMAIL_")


@rule("old-queues-name", WARNING, "names", check="maintenance.W002")
def old_queues_name(facts: Facts) -> Iterator[Trouble]:
    """Beside the new name it is ignored: its queues do not exist.

    It is Celery 3's name of task_queues. Source: Celery, Configuration, "New lowercase settings".
    """
    if facts.django("CELERY_QUEUES") is not None:
        ignored = " and is ignored beside it" if facts.django("CELERY_TASK_QUEUES") else ""
        fact = f"CELERY_QUEUES is the old name of CELERY_TASK_QUEUES{ignored}."
        yield Trouble(fact, "Rename CELERY_QUEUES to CELERY_TASK_QUEUES.")


@rule("old-setting-name", WARNING, "names")
def old_setting_name(facts: Facts) -> Iterator[Trouble]:
    """It is not read: Celery's default is in force, and nothing says so.

    Celery 4 renamed its settings; with a namespace only names that begin with it are read at all.
    Source: Celery, Configuration, "New lowercase settings".
    """
    namespace = getattr(facts.app, "namespace", None)
    if not namespace:
        return  # Celery itself reads either kind, and refuses a mixture
    for name in _names(facts):
        new = _TO_NEW_KEY.get(name)
        if new and name != f"{namespace}_{new.upper()}" and name != "CELERY_QUEUES":
            yield Trouble(f"{name} is an old name, which is not read.", f"Rename it to {facts.name(new)}.")


@rule("setting-without-prefix", WARNING, "names")
def setting_without_prefix(facts: Facts) -> Iterator[Trouble]:
    """It is not read: Celery's default is in force, and nothing says so.

    config_from_object(…, namespace="CELERY") reads only names that begin with CELERY_.
    Source: Celery, First steps with Django.
    """
    namespace = getattr(facts.app, "namespace", None)
    for name in _names(facts) if namespace else ():
        bare = name.lower()
        telling = bare.startswith(("broker_", "task_", "worker_", "result_", "beat_"))
        if telling and bare in DEFAULTS and name not in _TO_NEW_KEY and not facts.django(facts.name(bare)):
            yield Trouble(f"{name} lacks its prefix.", f"Rename it to {facts.name(bare)}.")


@rule("unknown-celery-setting", WARNING, "names")
def unknown_celery_setting(facts: Facts) -> Iterator[Trouble]:
    """It does nothing: a name that Celery does not know is ignored without a word.

    Every name that begins with the namespace is compared with those that Celery has. Names of packages beside
    Celery are taken for known when they begin as theirs do. Source: celery.app.defaults.
    """
    namespace = getattr(facts.app, "namespace", None)
    known = {f"{namespace}_{name.upper()}": name for name in DEFAULTS}
    for name in _names(facts):
        if not namespace or not name.startswith(f"{namespace}_") or name in known or name in _OLD_NAMES:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if near or not name.removeprefix(f"{namespace}_").startswith(_OTHERS):
            cure = f"Did you mean {near[0]}?" if near else "Take it away, or silence this rule."
            yield Trouble(f"Celery knows no setting {name}.", cure)


def _names(facts: Facts) -> list[str]:
    return sorted(name for name in dir(facts.settings) if name.isupper())
