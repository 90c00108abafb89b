"""Live tests: real servers, workers and beats, each test in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Project
from tests.servers import Valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A private Valkey on a free port."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def project(tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    """opsproject with a private Valkey, migrated, without the DEBUG schedules' beat."""
    ops = Project(tmp_path / "project", REDIS_URL=valkey.url)
    ops.manage("migrate", "--no-input", "-v", "0")
    yield ops
    ops.close()
