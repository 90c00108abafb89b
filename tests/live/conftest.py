"""Live tests: real servers, workers and beats, each test in a folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.databases import Live, Maria, PostgreSQL, SQLite, configured
from tests.processes import Project
from tests.servers import MariaDB, Postgres, Valkey


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


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A private PostgreSQL for all tests of a module."""
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A private MariaDB for all tests of a module."""
    server = MariaDB(tmp_path_factory.mktemp("mariadb"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def locks(django_db_blocker: Any) -> Iterator[None]:
    """The table of locks in the default database, whoever made that; other aliases may be used, too."""
    with django_db_blocker.unblock():
        call_command("migrate", "maintenance", verbosity=0)
        yield


@pytest.fixture
def live(request: pytest.FixtureRequest, tmp_path: Path, locks: None) -> Iterator[Live]:
    """The database ``archive`` of the engine that the test is parametrized with; the locks are in ``default``."""
    name = f"archive{os.urandom(4).hex()}"
    found: SQLite | PostgreSQL | Maria
    if request.param == "postgresql":
        found = PostgreSQL(request.getfixturevalue("postgres"), name)
    elif request.param == "mysql":
        found = Maria(request.getfixturevalue("mariadb"), name)
    else:
        found = SQLite(tmp_path / "live.sqlite3", wal=request.param == "sqlite")
    with configured(found.alias, **found.settings):
        yield found
