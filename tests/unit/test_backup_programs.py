"""What dump programs are told, as whole argv and environment; and what is read out of their stream."""

from pathlib import Path
from typing import Any

import pytest

from maintenance.backups.engines.mysql import dump as mysql
from maintenance.backups.engines.mysql.connection import Reach as MySQLReach
from maintenance.backups.engines.mysql.stream import Told
from maintenance.backups.engines.mysql.tools import Tool as MySQLTool
from maintenance.backups.engines.mysql.tools import version
from maintenance.backups.engines.postgresql import dump as postgresql
from maintenance.backups.engines.postgresql.connection import Reach, Table
from maintenance.backups.engines.source import heads, matching

VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "password": "PGPASSWORD"}
VARIABLES |= {"sslmode": "PGSSLMODE", "options": "PGOPTIONS"}
SERVER = {"host": "db", "port": "5433", "user": "ops", "dbname": "shop", "sslmode": "verify-full", "options": "-c x=1"}


def test_pg_dump_gets_everything_in_its_environment(tmp_path: Path) -> None:
    reach = Reach(SERVER, VARIABLES, {"password": "it's $ecret"}, role="owner")
    exclude = [Table("public", "django_session"), Table("odd.one", 'a "b"*')]
    command = postgresql.command("/bin/pg_dump", reach, snapshot="00-1", exclude=exclude, folder=tmp_path)
    assert command.args == (
        "/bin/pg_dump",
        "--format=custom",
        "--compress=0",
        "--no-password",
        "--snapshot=00-1",
        "--role=owner",
        '--exclude-table-data="public"."django_session"',
        '--exclude-table-data="odd.one"."a ""b""*"',
    )
    assert command.env == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGUSER": "ops",
        "PGDATABASE": "shop",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c x=1",
        "PGAPPNAME": "maintenance",
        "LC_ALL": "C",
    }
    assert command.secrets == {"PGPASSWORD": "it's $ecret"}
    # Somebody's PGSERVICE would be read before these.
    assert command.without == ("PGSERVICE",)
    assert "$ecret" not in repr((command, reach))
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_variable_goes_into_a_private_file(tmp_path: Path) -> None:
    reach = Reach({"host": "db", "keepalives": "1"}, VARIABLES, {"sslpassword": "s3cr3t"})
    command = reach.command("psql", folder=tmp_path)
    file = tmp_path / "service"
    assert file.read_text() == "[maintenance]\nkeepalives=1\nsslpassword=s3cr3t\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (command.env["PGSERVICE"], command.env["PGSERVICEFILE"]) == ("maintenance", str(file))
    assert command.without == ("PGPASSWORD",)
    assert command.redacted("FATAL: s3cr3t") == "FATAL: **"


COMMON = (
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--hex-blob",
    "--routines",
    "--triggers",
    "--events",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)


def test_mariadb_dump_gets_a_private_option_file(tmp_path: Path) -> None:
    given = {"user": "ops", "password": 'a "b" \\ #c', "host": "db", "port": 3307, "database": "-shop"}
    tool = MySQLTool("/bin/mariadb-dump", "10.11.6", is_mariadb=True)
    command = mysql.command(tool, MySQLReach(given), exclude=("big",), folder=tmp_path)
    file = tmp_path / "client.cnf"
    assert command.args == (
        "/bin/mariadb-dump",
        f"--defaults-file={file}",
        *COMMON,
        "--ignore-table-data=-shop.big",
        "--",
        "-shop",
    )
    assert file.read_text() == '[client]\nuser="ops"\npassword="a \\"b\\" \\\\ #c"\nhost="db"\nport="3307"\n'
    assert file.stat().st_mode & 0o777 == 0o600
    assert (command.secrets, command.without) == ({}, ("MYSQL_PWD",))
    assert command.env == {"LC_ALL": "C", "MYSQL_TEST_LOGIN_FILE": str(tmp_path / "no-login-file")}
    assert command.redacted(f"no: {given['password']}") == "no: **"


def test_mysqls_own_program_gets_its_own_flags(tmp_path: Path) -> None:
    tool = MySQLTool("/bin/mysqldump", "8.0.36", is_mariadb=False)
    command = mysql.command(tool, MySQLReach({"database": "shop"}), exclude=(), folder=tmp_path)
    own = ("--no-tablespaces", "--set-gtid-purged=OFF", "--column-statistics=0")
    assert command.args[2:] == (*COMMON, *own, "--", "shop")


@pytest.mark.parametrize(
    ("mode", "mariadb", "options"),
    [
        ("REQUIRED", True, {"ssl": ""}),
        ("VERIFY_IDENTITY", True, {"ssl": "", "ssl-verify-server-cert": ""}),
        ("DISABLED", True, {"skip-ssl": ""}),
        ("VERIFY_CA", False, {"ssl-mode": "VERIFY_CA"}),
    ],
)
def test_each_maker_has_its_own_words_for_tls(mode: str, mariadb: bool, options: dict[str, str]) -> None:
    given: dict[str, Any] = {"ssl_mode": mode, "ssl": {"ca": "/ca.pem"}, "unix_socket": "/s"}
    assert MySQLReach(given).options(mariadb=mariadb) == {"socket": "/s", "ssl-ca": "/ca.pem", **options}


def test_an_option_file_of_the_settings_is_read_first(tmp_path: Path) -> None:
    MySQLReach({"read_default_file": "/etc/ops.cnf", "user": "ops"}).command("x", mariadb=True, folder=tmp_path)
    assert (tmp_path / "client.cnf").read_text() == '!include /etc/ops.cnf\n[client]\nuser="ops"\n'


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)", "10.11.19"),
        ("mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)", "11.4.2"),
        ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", "8.0.36"),
        ("mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", "5.7.44"),
        ("nothing", ""),
    ],
)
def test_the_version_in_what_each_program_says(said: str, expected: str) -> None:
    assert version(said) == expected


DUMP = (
    b"-- dump\nINSERT INTO `a` VALUES\n(1,'INSERT INTO `django_migrations` VALUES');\n"
    b"INSERT INTO `django_migrations` VALUES\n(1,'auth','0001_initial','2026-01-01'),\n(2,'auth','0002_it\\'s','2026');"
    b"\nINSERT INTO `django_migrations` VALUES\n(3,'shop','0001_a''b','2026-01-01 00:00:00');\n"
    b"-- Dump completed on 2026-01-01\n"
)


@pytest.mark.parametrize("size", [1, 2, 7, 50, 1000])
def test_the_stream_tells_the_same_however_it_is_cut(size: int) -> None:
    told = Told(DUMP[start : start + size] for start in range(0, len(DUMP), size))
    assert b"".join(told) == DUMP
    assert told.ended
    assert told.migrations == [("auth", "0001_initial"), ("auth", "0002_it's"), ("shop", "0001_a'b")]


@pytest.mark.parametrize(
    "dump",
    [
        b"",
        DUMP[:-1],
        DUMP[:-30],
        DUMP + b"x",
        b"INSERT INTO `a` VALUES ('-- Dump completed on');\n",
        b"-- Dump completed\nhalf",
    ],
)
def test_a_dump_without_its_last_line_has_not_ended(dump: bytes) -> None:
    told = Told([dump])
    assert b"".join(told) == dump
    assert not told.ended


def test_the_heads_are_the_migrations_of_the_highest_number() -> None:
    applied = [
        ("a", "0001_initial"),
        ("a", "0002_x"),
        ("a", "0002_y"),
        ("a", "0010_z"),
        ("b", "0002_x"),
        ("b", "0002_y"),
    ]
    odd = [("c", "first"), ("c", "second"), ("d", "0001_squashed_0003_x"), ("d", "0003_x")]
    assert heads([*applied, *odd]) == {
        "a": ("0010_z",),
        "b": ("0002_x", "0002_y"),
        "c": ("second",),
        "d": ("0003_x",),
    }
    assert heads([]) == {}


def test_globs_match_whole_names() -> None:
    assert matching(["log", "logs", "x.log"], ["log", "*.log"]) == ("log", "x.log")
    assert matching(["Log"], ["log"]) == ()
