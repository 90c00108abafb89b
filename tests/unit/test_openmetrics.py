"""The figures of checks as OpenMetrics text."""

import ast
from pathlib import Path

from maintenance.health import checks
from maintenance.health.openmetrics import HELP


def figures() -> set[str]:
    """Return the name of each Figure that a check's source makes."""
    calls = [
        node
        for path in Path(checks.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Figure"
    ]
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}  # type: ignore[misc]


def test_every_figure_has_a_help_text_and_every_text_a_figure() -> None:
    assert figures() == set(HELP) - {"check_state"}
