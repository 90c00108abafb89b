"""What `doctor --explain` says about a rule or a check, and which tags and ids there are."""

import difflib
import textwrap
from collections.abc import Collection, Iterable
from typing import Any

from maintenance.errors import ConfigurationError
from maintenance.health import rules
from maintenance.health.rules import Found, Rule


class UnknownName(ConfigurationError):
    """There is no {kind} {name!r}."""

    hint = "{suggestion}"


def require(names: Iterable[str], known: Collection[str], *, kind: str) -> None:
    """Raise UnknownName, which suggests the nearest, for the first name that is not known."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            listed = ", ".join(sorted(known)) if len(known) < 30 else "docs/rules.md lists them"
            suggestion = f"Did you mean {near[0]!r}?" if near else f"Known: {listed}."
            raise UnknownName(kind=kind, name=name, suggestion=suggestion)


def rule_named(id: str, others: Collection[str] = ()) -> Rule | None:
    """Return the rule of an id, or of its system check; None for one of the ``others``. Raises UnknownName."""
    by_check = {rule.check: rule for rule in rules.RULES.values() if rule.check}
    found = rules.RULES.get(id.removeprefix("maintenance.")) or by_check.get(id)
    if found is None:
        require([id], {*rules.RULES, *by_check, *others}, kind="rule or check")
    return found


def words(rule: Rule, here: Found | None) -> str:
    """Return what a rule is for, and what it finds here (None: nobody asked)."""
    when = ", with --deploy" if rule.deploy else ""
    also = f", {rule.check} of `manage.py check`" if rule.check else ""
    why = [textwrap.fill(text, 100, break_on_hyphens=False) for text in (rule.consequence, rule.reason)]
    return "\n".join([f"{rule.id} ({rule.severity}, tag {rule.tag}{when}{also})", *why, *_here(here)])


def document(rule: Rule, here: Found | None) -> dict[str, Any]:
    """Return the same as facts."""
    return {
        "id": rule.id,
        "severity": rule.severity,
        "tag": rule.tag,
        "deploy": rule.deploy,
        "check": rule.check,
        "consequence": rule.consequence,
        "reason": rule.reason,
        "found": None if here is None else [{"message": each.fact, "cure": each.cure} for each in here.troubles],
    }


def _here(found: Found | None) -> list[str]:
    if found is None:
        return []
    if found.unknown:
        return [f"Here: could not ask. {found.unknown}"]
    return [f"Here: {each.fact} {each.cure}" for each in found.troubles] or ["Here: nothing is wrong."]
