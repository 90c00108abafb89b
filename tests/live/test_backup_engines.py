"""Backups of every engine: consistent under a writer, complete by the engine's own tools, and loud when they fail."""

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from maintenance.backups import catalog, create, destination
from maintenance.backups.destination import Destination
from maintenance.backups.errors import (
    DatabaseUnreachable,
    DumpCutShort,
    DumpFailed,
    LoginRefused,
    OutOfTime,
    ToolMissing,
    ToolTooOld,
)
from maintenance.backups.manifest import Manifest
from maintenance.backups.pulse import Watch, nobody
from tests.databases import Live, prepare, run, unpacked
from tests.servers import free_port

TTL = timedelta(minutes=5)
ENGINES = ("sqlite", "sqlite without WAL", "postgresql", "mysql")
COUNT = "SELECT count(*) FROM "
SERVERS = ("postgresql", "mysql")


@pytest.fixture
def where(tmp_path: Path) -> Destination:
    return destination.choose(alias="backups", configured={}, root=tmp_path / "backups")


def back_up(where: Destination, *, watch: Watch = nobody, **how: Any) -> Manifest:
    plan = create.plan(alias="archive", destinations=(where,), **how)
    return create.create(plan, holder="test", ttl=TTL, clock=timezone.now, watch=watch).manifest


def nothing_in(where: Destination) -> bool:
    return catalog.read(where.storage).backups == () and not list(where.staging.iterdir())


every_engine = pytest.mark.parametrize("live", ENGINES, indirect=True)
every_server = pytest.mark.parametrize("live", SERVERS, indirect=True)


class Writer:
    """Writes the same number into two tables in one transaction, again and again."""

    def __init__(self, live: Live) -> None:
        self.live, self.written, self._stop = live, 0, threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.error:
            raise self.error

    def _write(self) -> None:
        connection = self.live.connect()
        try:
            while not self._stop.wait(0.005):
                begin = "BEGIN IMMEDIATE" if self.live.engine == "sqlite" else "BEGIN"
                run(connection, begin, "INSERT INTO one (n) VALUES (1)", "INSERT INTO two (n) VALUES (1)", "COMMIT")
                self.written += 1
        except Exception as error:  # noqa: BLE001 - raised again in the test itself
            self.error = error
        finally:
            connection.close()


class Watching:
    """Collects the command lines of every process that is younger than itself (Linux)."""

    def __init__(self) -> None:
        self.commands: set[str] = set()
        self._before = set(Path("/proc").iterdir())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def __enter__(self) -> "Watching":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.is_set():
            for process in set(Path("/proc").iterdir()) - self._before:
                with contextlib.suppress(OSError):
                    self.commands.add((process / "cmdline").read_bytes().decode(errors="replace"))


def connect_as(live: Live, user: str, password: str, *, create: bool = False) -> str:
    """Let Django connect as ``user``; with ``create`` the server knows them. Return the password."""
    if create:
        live.let_in(user, password)
    connections["archive"].close()
    connections["archive"].settings_dict.update(USER=user, PASSWORD=password)
    return password


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [2, pytest.param(10, marks=pytest.mark.soak)])
@every_engine
def test_two_tables_written_together_agree_in_the_backup(
    live: Live, where: Destination, tmp_path: Path, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(live, rows=20_000)
    monkeypatch.setattr("maintenance.backups.pulse._TELL_EVERY", 0)
    counts = []
    with Writer(live) as writer:
        for _ in range(runs):
            before = writer.written
            copied: list[int] = []

            def watch(stage: str, done: int, total: int | None, copied: list[int] = copied) -> None:
                if stage == "copy":
                    copied.append(done)

            made = back_up(where, watch=watch)
            assert copied == sorted(copied), "a writer made SQLite's copy begin anew"
            ask = live.restored(unpacked(where.staging / made.file, tmp_path / "plain"))
            (one,), (two,) = (ask(COUNT + table)[0] for table in ("one", "two"))
            assert one == two >= before
            if made.tables is not None:
                assert (made.tables["one"], made.tables["two"], made.tables["bulk"]) == (one, two, 20_000)
            assert ask("SELECT count(*) FROM bulk") == [(20_000,)]
            counts.append(one)
    assert counts == sorted(counts)
    assert writer.written > counts[0]


@every_engine
def test_the_manifest_tells_what_the_dump_holds(live: Live, where: Destination) -> None:
    prepare(live)
    made = back_up(where, tag="first", origin=create.Origin("shop", "web1"))
    assert (made.engine, made.kind, made.tag, made.project, made.host) == (
        live.engine,
        "database",
        "first",
        "shop",
        "web1",
    )
    assert made.migrations == {"a,b": ("0009_x",), "shop": ('0002_it\'s \\n "odd"; ok',)}
    assert made.excluded == ()
    if live.engine == "mysql":
        assert made.tables is None
    else:
        assert made.tables == {"bulk": 2000, "django_migrations": 3, "one": 0, "two": 0}
    assert {"server", "python", "django", "zstandard"} <= set(made.versions)
    assert "dump" in dict(made.stages)
    assert catalog.read(where.storage).backups == (made,)


@every_engine
def test_the_rows_of_excluded_tables_are_left_out_and_their_structure_is_kept(
    live: Live, where: Destination, tmp_path: Path
) -> None:
    prepare(live)
    run(connection := live.connect(), "INSERT INTO one (n) VALUES (1)", "INSERT INTO two (n) VALUES (1)")
    connection.close()
    made = back_up(where, exclude=("bu*", "tw?", "nothing*"))
    assert made.excluded == ("bulk", "two")
    plain = unpacked(where.staging / made.file, tmp_path / "plain")
    ask = live.restored(plain)
    assert [ask(COUNT + table) for table in ("bulk", "one", "two")] == [[(0,)], [(1,)], [(0,)]]
    assert b"0123456789abcdef" not in plain.read_bytes()


@every_engine
def test_files_and_folders_are_private_under_umask_000(live: Live, where: Destination) -> None:
    prepare(live)
    before = os.umask(0)
    try:
        made = back_up(where)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in where.staging.iterdir()}
    assert modes == {made.file: 0o600, made.name: 0o600}
    assert stat.S_IMODE(where.staging.stat().st_mode) == 0o700


FAKES = {
    "half": ("echo half; echo 'out of paper' >&2; exit 1", DumpFailed, "ended with status 1: out of paper"),
    "silent": ("exec /bin/sleep 600", OutOfTime, "'backup:archive' was stopped after 2s, at dump"),
}
VERSIONS = {"postgresql": "pg_dump (PostgreSQL) 15.99", "mysql": "mariadb-dump from 99.1-MariaDB"}
NAMES = {"postgresql": "pg_dump", "mysql": "mariadb-dump"}


@pytest.fixture
def fake(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a program in the place of the engine's dump tool: what it does instead, and what it says its version is."""

    def put(script: str, version: str = VERSIONS.get(live.engine, "")) -> Path:
        tool = tmp_path / "fakes" / NAMES[live.engine]
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo "{version}"; exit 0;; esac\n{script}\n')
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tool.parent))
        monkeypatch.setattr("maintenance.backups.engines.postgresql.tools._FOLDERS", ())
        return tool

    return put


@pytest.mark.parametrize("kind", FAKES)
@every_server
def test_a_dump_program_that_dies_or_hangs_leaves_nothing(
    live: Live, where: Destination, fake: Callable[..., Path], kind: str
) -> None:
    prepare(live, rows=10)
    script, error, said = FAKES[kind]
    fake(script)
    with pytest.raises(error) as caught:
        back_up(where, at_most=timedelta(seconds=2))
    assert said in str(caught.value)
    assert caught.value.exit_code == (75 if error is OutOfTime else 1)
    assert nothing_in(where)


@pytest.mark.parametrize("live", ["mysql"], indirect=True)
def test_a_dump_without_its_last_line_is_none(live: Live, where: Destination, fake: Callable[..., Path]) -> None:
    prepare(live, rows=10)
    tool = fake("echo '-- Dump completed'; echo half; exit 0")
    with pytest.raises(DumpCutShort) as caught:
        back_up(where)
    assert str(caught.value) == (
        f"The dump of database 'archive' has no end: {tool} ended well, but its last line is missing. "
        f"Nothing was stored. Update {tool}; it may have been killed, or run out of something."
    )
    assert nothing_in(where)


@every_server
def test_a_missing_program_is_named_with_its_package(
    live: Live, where: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("maintenance.backups.engines.postgresql.tools._FOLDERS", ())
    with pytest.raises(ToolMissing) as caught:
        back_up(where)
    tool, package = {
        "postgresql": ("pg_dump", "postgresql-client-15"),
        "mysql": ("mariadb-dump or mysqldump", "mariadb-client"),
    }[live.engine]
    assert str(caught.value) == (
        f"The program {tool} is not installed: without it there is no backup of this database. "
        f"Install the package {package} (Debian's name)."
    )
    assert caught.value.exit_code == 69


@pytest.mark.parametrize("live", ["postgresql"], indirect=True)
def test_a_program_older_than_the_server_is_refused(live: Live, where: Destination, fake: Callable[..., Path]) -> None:
    tool = fake("exit 0", version="pg_dump (PostgreSQL) 9.6.24")
    with pytest.raises(ToolTooOld) as caught:
        back_up(where)
    assert str(caught.value) == (
        f"{tool} is version 9.6.24, and the server is 15: an older one cannot dump it. "
        "Install the package postgresql-client-15 (Debian's name)."
    )
    assert caught.value.exit_code == 69


@every_server
def test_a_server_that_is_down_is_told_from_a_login_that_is_refused(live: Live, where: Destination) -> None:
    connections["archive"].close()
    connections["archive"].settings_dict["PORT"] = str(free_port())
    with pytest.raises(DatabaseUnreachable) as caught:
        back_up(where)
    assert type(caught.value) is DatabaseUnreachable
    assert str(caught.value).startswith("Database 'archive' cannot be reached: ")
    connections["archive"].settings_dict["PORT"] = str(live.settings["PORT"])
    wrong = connect_as(live, "nobody", "wrong ü 'word'")
    with pytest.raises(LoginRefused) as refused:
        back_up(where)
    assert str(refused.value).startswith("Database 'archive' refuses the login: ")
    assert wrong not in str(refused.value)
    assert [caught.value.exit_code, refused.value.exit_code] == [69, 69]


@every_server
def test_a_connection_that_the_server_cuts_fails_the_backup(
    live: Live, where: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(live, rows=200_000)
    admin, cut = live.connect(), 0

    def kill(stage: str, done: int, total: int | None) -> None:
        nonlocal cut
        if stage == "dump" and done and not cut:
            cut = live.cut(admin)

    plan = create.plan(alias="archive", destinations=(where,))
    monkeypatch.setattr("maintenance.backups.pulse._TELL_EVERY", 0)
    with pytest.raises((DumpFailed, DatabaseUnreachable)):
        create.create(plan, holder="test", ttl=TTL, clock=timezone.now, watch=kill)
    admin.close()
    assert cut
    assert nothing_in(where)


PASSWORDS = ["pl41n-w0rd", "with space", 'it\'s "quoted"', "per%cent $HOME \\ back", "ünï ✓", "#hash;=", "tab\tx"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.soak)])
@every_server
def test_awkward_passwords_work_and_never_show(
    live: Live, where: Destination, caplog: pytest.LogCaptureFixture, times: int
) -> None:
    prepare(live, rows=10)
    for password in PASSWORDS * times:
        connect_as(live, "awkward", password, create=True)
        with Watching() as seen:
            made = back_up(where)
        assert password not in repr((made, made.facts()))
        assert seen.commands
        assert not [command for command in seen.commands if password in command]
        assert password not in caplog.text
