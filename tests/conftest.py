"""Fixtures for every test."""

import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

Outcome = tuple[str, str, int]


@pytest.fixture
def run() -> Callable[..., Outcome]:
    """Run a management command in this process and return the whole (stdout, stderr, exit code)."""

    def runner(name: str, *args: str, **options: Any) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(name, *args, stdout=out, stderr=err, no_color=True, **options)
        except CommandError as error:
            err.write(f"CommandError: {error}\n")
            code = error.returncode
        except SystemExit as error:
            code = int(error.code or 0)
        return out.getvalue(), err.getvalue(), code

    return runner


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless SOAK=1 asks for them."""
    if os.environ.get("SOAK") != "1":
        skip = pytest.mark.skip(reason="long form: make soak")
        for item in items:
            if "soak" in item.keywords:
                item.add_marker(skip)
