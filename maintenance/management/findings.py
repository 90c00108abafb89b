"""How findings are shown: lines, a table on a terminal, and their sum."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, TextIO, cast

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maintenance.health.rules import ERROR, Found
from maintenance.health.runner import FAILED, OK, UNKNOWN, WARNING, Finding

COLOURS: Final = {OK: "green", WARNING: "yellow", FAILED: "bold red", UNKNOWN: "bold red"}
WORDS: Final = {OK: "ok", WARNING: "warning", FAILED: "FAILED", UNKNOWN: "COULD NOT ASK"}


def of_rule(found: Found) -> list[Finding]:
    """Return a finding a trouble; none where the rule is content."""
    rule = found.rule
    if found.unknown:
        return [Finding(rule.id, rule.id, UNKNOWN, found.unknown)]
    state = FAILED if rule.severity == ERROR else WARNING
    return [Finding(rule.id, rule.id, state, each.fact, rule.consequence, each.cure) for each in found.troubles]


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line a finding, and their sum."""
    width = max((len(finding.title) for finding in findings), default=0)
    return [*(f"{WORDS[each.state]:<13}  {each.title:<{width}}  {each.words}" for each in findings), total(findings)]


def show(findings: Sequence[Finding], terminal: OutputWrapper, *, no_color: bool) -> None:
    """Draw one table on a terminal. Colours follow --no-color and NO_COLOR."""
    table = Table(box=None, pad_edge=False)
    for heading in ("State", "Check", "What was found"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(Text(WORDS[finding.state], style=COLOURS[finding.state]), finding.title, Text(finding.words))
    console = Console(file=cast(TextIO, terminal), no_color=no_color or None, highlight=False)
    console.print(table)
    console.print(total(findings))


def total(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each state."""
    count = Counter(finding.state for finding in findings)
    return ", ".join(f"{count[state]} {word.lower()}" for state, word in WORDS.items() if count[state]) + "."
