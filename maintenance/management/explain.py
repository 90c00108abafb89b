"""What `doctor --explain` says about a rule or a check, and which tags and ids there are."""

import difflib
import inspect
import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from maintenance.errors import ConfigurationError
from maintenance.health import checks, rules
from maintenance.health.base import Check
from maintenance.health.rules import Found, Rule
from maintenance.health.runner import OK, Finding

Subject = Rule | type[Check]
Here = Found | Sequence[Finding] | None

# The tags of live checks whose id begins otherwise.
TAGS: Final = {
    "migrations": "database",
    "workers": "worker",
    "round-trip": "worker",
    "queue": "queues",
    "redis": "broker",
}


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


def subject(id: str) -> Subject:
    """Return the rule of an id or of its system check, else the live check of that id. Raises UnknownName."""
    by_check = {rule.check: rule for rule in rules.RULES.values() if rule.check}
    live = {kind.id: kind for kind in checks.KINDS}
    found = rules.RULES.get(id.removeprefix("maintenance.")) or by_check.get(id) or live.get(id.partition(":")[0])
    if found is None:
        require([id], {*rules.RULES, *by_check, *live}, kind="rule or check")
        raise AssertionError(id)  # what is known was found above
    return found


def words(subject: Subject, here: Here) -> str:
    """Return what a rule or check is for, and what it finds here (None: nobody asked)."""
    parts = [_head(subject), *(textwrap.fill(text, 100, break_on_hyphens=False) for text in _why(subject))]
    return "\n".join([*parts, *_here(here)])


def document(subject: Subject, here: Here) -> dict[str, Any]:
    """Return the same as facts. A live check has no severity: it finds a state each time."""
    consequence, reason = _why(subject)
    is_rule = isinstance(subject, Rule)
    return {
        "id": subject.id,
        "severity": subject.severity if is_rule else None,
        "tag": subject.tag if is_rule else tag_of(subject.id),
        "deploy": subject.deploy if is_rule else False,
        "check": subject.check if is_rule else "",
        "consequence": consequence,
        "reason": reason,
        "found": _found(here),
    }


def tag_of(id: str) -> str:
    """Return the tag of a live check: the first part of its id, or what that belongs to."""
    part = id.partition(":")[0].partition(".")[0]
    return TAGS.get(part, part)


def _head(subject: Subject) -> str:
    if not isinstance(subject, Rule):
        return f"{subject.id} (live check, tag {tag_of(subject.id)})"
    when = ", with --deploy" if subject.deploy else ""
    also = f", {subject.check} of `manage.py check`" if subject.check else ""
    return f"{subject.id} ({subject.severity}, tag {subject.tag}{when}{also})"


def _why(subject: Subject) -> tuple[str, str]:
    if isinstance(subject, Rule):
        return subject.consequence, subject.reason
    wanted = " ".join((inspect.getdoc(subject) or "").split())
    return f"Well is: {wanted}", " ".join(filter(None, (f"Else: {subject.consequence}", subject.cure)))


def _found(here: Here) -> list[dict[str, str]] | None:
    if here is None:
        return None
    if isinstance(here, Found):
        return [{"message": each.fact, "cure": each.cure} for each in here.troubles]
    return [{"message": each.message, "cure": each.cure} for each in here if each.state != OK]


def _here(found: Here) -> list[str]:
    if found is None:
        return []
    if not isinstance(found, Found):
        return [f"Here: {each.state}. {each.words}" for each in found] or ["Here: nothing needs it."]
    if found.unknown:
        return [f"Here: could not ask. {found.unknown}"]
    return [f"Here: {each.fact} {each.cure}" for each in found.troubles] or ["Here: nothing is wrong."]
