"""The generated documents say what the code says, and the others name what exists."""

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maintenance.management import commands
from tests.processes import ROOT

DOCUMENTS = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md"])
COMMANDS = {module.name for module in pkgutil.iter_modules(commands.__path__)}


def generate(*args: str, **env: str) -> tuple[str, str, int]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout, done.stderr, done.returncode


def test_the_generated_documents_are_fresh_at_any_width_of_the_terminal() -> None:
    assert generate("--check", COLUMNS="40") == ("", "", 0)


def test_every_command_has_its_section() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == COMMANDS


def test_the_generator_knows_no_command_that_is_gone() -> None:
    block = re.search(r"^OUTCOMES.*?^}", (ROOT / "docs/generate.py").read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    assert set(re.findall(r'^    "(\w+)":', block[0], re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_commands_that_exist(document: Path) -> None:
    named = set(re.findall(r"(?:`|python |py )manage\.py ([a-z]\w+)", document.read_text()))
    django = {"migrate", "check", "collectstatic", "createsuperuser", "changepassword", "runserver", "shell", "dbshell"}
    django |= {"createcachetable"}
    assert named <= COMMANDS | django | {"dev_superuser"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
