"""Rules: settings that bite, found without asking any service. Each has a stable id and tells its reason."""

from collections.abc import Collection

from . import alerts, backups, beat, broker, database, limits, names, procfile, queues, results, security, worker
from .base import ERROR, RULES, WARNING, Found, Rule, Trouble, ask
from .facts import Facts

__all__ = ["ERROR", "RULES", "WARNING", "Facts", "Found", "Rule", "Trouble", "ask", "look"]

MODULES = (security, broker, queues, worker, limits, database, results, beat, names, backups, alerts, procfile)


def look(facts: Facts, *, deploy: bool, tags: Collection[str] = (), silenced: Collection[str] = ()) -> list[Found]:
    """Return every rule that applies with what it found; ``silenced`` are ids (``maintenance.`` before it or not)."""
    quiet = {str(id).removeprefix("maintenance.") for id in silenced}
    return [
        ask(rule, facts)
        for rule in RULES.values()
        if (deploy or not rule.deploy)
        and (not tags or rule.tag in tags)
        and rule.id not in quiet
        and rule.check.removeprefix("maintenance.") not in quiet - {""}
    ]
