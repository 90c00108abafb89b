"""Which abbreviations are expanded, and how. Pure: no database."""

import re

EXPANSIONS = {"MyCorp": "My Corporation", "DB": "database", "TLS": "Transport Layer Security"}

_PATTERN = re.compile(r"\b(" + "|".join(map(re.escape, EXPANSIONS)) + r")\b")


def expand(text: str) -> tuple[str, int]:
    """Return the text with every abbreviation written out, and how many there were. A second time changes nothing."""
    return _PATTERN.subn(lambda found: EXPANSIONS[found[1]], text)
