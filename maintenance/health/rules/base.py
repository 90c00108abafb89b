"""What a rule is: a question to the settings with a stable id, whose docstring says why it is asked."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import MaintenanceError
from .facts import Facts

WARNING: Final = "warning"
ERROR: Final = "error"


@dataclass(frozen=True)
class Trouble:
    """What a rule found: the fact, and what to paste or do (the consequence is the rule's)."""

    fact: str
    cure: str


Look = Callable[[Facts], Iterator[Trouble]]


@dataclass(frozen=True)
class Rule:
    """A rule: when it is asked, how bad a finding is, and why."""

    id: str
    severity: str
    tag: str
    deploy: bool
    """Whether it matters in production only."""
    check: str
    """The id of the system check that tells the same, or an empty string."""
    consequence: str
    reason: str
    look: Look


@dataclass(frozen=True)
class Found:
    """A rule with what it found: troubles, or why it could not tell."""

    rule: Rule
    troubles: tuple[Trouble, ...]
    unknown: str = ""


RULES: Final[dict[str, Rule]] = {}


def rule(id: str, severity: str, tag: str, *, deploy: bool = False, check: str = "") -> Callable[[Look], Look]:
    """Declare a rule. Its docstring's first paragraph is the consequence, the rest the reason with its source."""

    def declare(look: Look) -> Look:
        consequence, _, reason = (inspect.getdoc(look) or "").partition("\n\n")
        RULES[id] = Rule(
            id=id,
            severity=severity,
            tag=tag,
            deploy=deploy,
            check=check,
            consequence=" ".join(consequence.split()),
            reason=" ".join(reason.split()),
            look=look,
        )
        return look

    return declare


def ask(rule: Rule, facts: Facts) -> Found:
    """Return what ``rule`` finds. Settings of a shape that it cannot read make it unknown, never fine."""
    try:
        return Found(rule, tuple(rule.look(facts)))
    except MaintenanceError as error:
        return Found(rule, (), unknown=error.message)
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        return Found(rule, (), unknown=f"A setting has a shape that it cannot read ({type(error).__name__}: {error}).")
