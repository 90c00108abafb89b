"""--dry-run needs no service: broker and database are dead, and the plan is printed all the same."""

from pathlib import Path

import pytest

from tests.processes import Project

DEAD = {"REDIS_URL": "redis://:s3cret@127.0.0.1:1/0", "DATABASE_URL": "postgres://user:s3cret@127.0.0.1:1/gone"}


@pytest.mark.parametrize(("command", "last"), [("run_worker", "celery -A opsproject worker"), ("run_beat", "beat")])
def test_a_plan_is_printed_while_everything_is_down(tmp_path: Path, command: str, last: str) -> None:
    done = Project(tmp_path / "project", **DEAD).manage(command, "--dry-run")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("app          opsproject  (")
    assert last in done.stdout.splitlines()[-1]
    assert "s3cret" not in done.stdout
