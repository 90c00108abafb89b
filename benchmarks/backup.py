"""Backups beside the bare tools and beside django-dbbackup, on generated data, each engine in one run.

Run it as `python -m benchmarks.backup [--megabytes 1000] [--runs 5] [--engines sqlite postgresql mysql]`. Every figure
is printed with its target. Commands start from compiled bytecode, as an installed project's do.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import describe
from tests.databases import Live, Maria, PostgreSQL, SQLite, run
from tests.servers import MariaDB, Postgres

ROOT = Path(__file__).resolve().parent.parent
WORDS = 200
# (ratio to the bare tool, ratio to dbbackup, longest commit of a writer in ms), at most.
TARGETS = {"sqlite": (1.3, 0.2, 50), "postgresql": (1.6, 0.4, 100), "mysql": (1.5, 0.35, 100)}
SETTINGS = """
from opsproject.settings import *
from opsproject.settings import MAINTENANCE
MAINTENANCE = {**MAINTENANCE, "BACKUPS": {"KEEP_LAST": 2}}
"""
# Apart, so that our commands do not import dbbackup's app.
PEER_SETTINGS = """
from bench_settings import *
from bench_settings import INSTALLED_APPS, STORAGES, VAR_DIR
INSTALLED_APPS = [*INSTALLED_APPS, "dbbackup"]
_PLACE = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "dbbackup"}}
STORAGES = {**STORAGES, "dbbackup": _PLACE}
"""


def fill(live: Live, megabytes: int) -> None:
    """Make a table of rows like an application's: words, numbers, a hash."""
    import random

    random.seed(1)
    words = [f"{random.getrandbits(40):x}" for _ in range(WORDS * 20)]
    connection = live.connect()
    run(
        connection,
        "CREATE TABLE entry (id INTEGER PRIMARY KEY, title VARCHAR(200), body TEXT, price REAL, hash CHAR(64))",
    )
    cursor, mark, row = connection.cursor(), "?" if live.engine == "sqlite" else "%s", 0
    statement = f"INSERT INTO entry VALUES ({', '.join([mark] * 5)})"  # noqa: S608 - ours
    for _ in range(megabytes):
        rows: list[tuple[Any, ...]] = []
        while len(rows) < 1700:
            row += 1
            body = " ".join(random.choices(words, k=42))
            rows.append(
                (row, " ".join(random.choices(words, k=4)), body, random.random(), f"{random.getrandbits(256):064x}")
            )
        cursor.execute("BEGIN")
        cursor.executemany(statement, rows)
        cursor.execute("COMMIT")
    if live.engine == "sqlite":
        run(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def timed(command: list[str] | str, env: dict[str, str]) -> float:
    """Return the wall seconds of a command."""
    began = time.monotonic()
    subprocess.run(command, check=True, env=env, cwd=ROOT, shell=isinstance(command, str), stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def worked() -> float:
    """Return the CPU seconds of all our children so far; a server's are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def database(engine: str, folder: Path) -> Iterator[tuple[Live, str, str]]:
    """Start a private server; give the database, its URL, and the bare tool's command line."""
    if engine == "postgresql":
        postgres = Postgres(folder / "server")
        postgres.start()
        tool = f"{Path(postgres.psql).with_name('pg_dump')} -Fc -Z0 -h 127.0.0.1 -p {postgres.port} -U postgres ops"
        yield PostgreSQL(postgres, "ops"), f"postgres://postgres@127.0.0.1:{postgres.port}/ops", tool
        postgres.stop()
    elif engine == "mysql":
        maria = MariaDB(folder / "server")
        maria.start()
        tool = f"mariadb-dump --no-defaults --single-transaction --quick -h 127.0.0.1 -P {maria.port} -u root ops"
        yield Maria(maria, "ops"), f"mysql://root@127.0.0.1:{maria.port}/ops", tool
        maria.stop()
    else:
        path = folder / "var" / "db.sqlite3"
        path.parent.mkdir()
        yield SQLite(path), "", f"zstd -3 -T2 -q -f {path} -o {folder}/bare.zst"


class Writer(threading.Thread):
    """Commits about 150 times a second, and keeps the longest time that one took."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live, self.longest, self.count, self.over = live, 0.0, 0, threading.Event()

    def run(self) -> None:
        connection = self.live.connect()
        run(connection, "CREATE TABLE IF NOT EXISTS stall (n INTEGER)")
        while not self.over.wait(0.005):
            began = time.monotonic()
            run(connection, "INSERT INTO stall VALUES (1)")
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1
        connection.close()


def stall(live: Live, act: Callable[[], Any]) -> tuple[float, float]:
    """Return the longest commit of a writer in ms while ``act`` is done, and the commits a second."""
    writer = Writer(live)
    writer.start()
    began = time.monotonic()
    act()
    lasted = time.monotonic() - began
    writer.over.set()
    writer.join()
    return writer.longest * 1000, writer.count / lasted


def line(what: str, found: float, target: float, more: str = "") -> None:
    """Print a figure beside its target."""
    print(f"  {what}: {found:.2f} (target {target:g}: {'met' if found <= target else 'MISSED'}){more}", flush=True)


def tell(engine: str, at: dict[str, float], cpu: dict[str, float], size: float) -> None:
    """Print what was measured, in seconds, and each ratio beside its target."""
    bare, peer, _ = TARGETS[engine]
    print(f"{engine}: {', '.join(f'{name} {seconds:.2f} s' for name, seconds in at.items())}")
    alone, work = ((of["ours"] - of["start"]) / of["bare"] for of in (at, cpu))
    more = f", of CPU {work:.2f}" if engine == "sqlite" else ""  # elsewhere most of the work is the server's
    line("to the bare tool", at["ours"] / at["bare"], bare, f"; without a command's start {alone:.2f}{more}")
    line("to dbbackup", at["ours"] / at["dbbackup"], peer)
    for level, target in (("hash", 0.1), ("decode", 0.25)):
        line(f"verify {level}, to a backup", (at[level] - at["start"]) / at["ours"], target)
    line("size to zstd -3", size, 1.05)


def tell_stalls(engine: str, live: Live, backup: Callable[[], float], idle: float) -> None:
    """Print how long a writer of some 150 commits a second was held up, and how much longer the backup took."""
    alone, rate = stall(live, lambda: time.sleep(3))
    took: list[float] = []
    longest, meanwhile = stall(live, lambda: took.append(backup()))
    more = f"; alone {alone:.0f} ms; {meanwhile:.0f} commits/s, alone {rate:.0f}"
    line("a writer's longest commit, ms", longest, TARGETS[engine][2], more)
    line("a backup beside it, to one alone", took[0] / idle, 3)


def measure(engine: str, megabytes: int, runs: int) -> None:
    """Measure one engine and print its lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "bench_settings.py").write_text(SETTINGS)
        (folder / "peer_settings.py").write_text(PEER_SETTINGS)
        python, manage = sys.executable, str(ROOT / "manage.py")
        with database(engine, folder) as (live, url, tool):
            env = {
                **os.environ,
                "DEBUG": "1",
                "VAR_DIR": str(folder / "var"),
                "DATABASE_URL": url,
                "DJANGO_SETTINGS_MODULE": "bench_settings",
                "PYTHONPATH": f"{folder}:{ROOT}",
                "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
                "PYTHONDONTWRITEBYTECODE": "",
            }
            timed([python, manage, "migrate", "-v", "0"], env)
            fill(live, megabytes)
            bare = tool if engine == "sqlite" else f"{tool} > /dev/null"
            peer = [python, manage, "dbbackup", "--noinput", "--quiet", *([] if engine == "postgresql" else ["-z"])]
            commands = {"ours": [manage, "backup"], "start": [manage, "list_backups"]}
            commands |= {level: [manage, "verify_backup", "latest", "--level", level] for level in ("hash", "decode")}
            contenders: dict[str, list[str] | str] = {
                "bare": bare,
                **{key: [python, *command] for key, command in commands.items()},
            }
            walls: dict[str, list[float]] = {key: [] for key in (*contenders, "dbbackup")}
            works: dict[str, list[float]] = {key: [] for key in contenders}
            for _ in range(runs):
                for key, contender in contenders.items():
                    before = worked()
                    walls[key].append(timed(contender, env))
                    works[key].append(worked() - before)
            for _ in range(min(runs, 3)):
                walls["dbbackup"].append(timed(peer, {**env, "DJANGO_SETTINGS_MODULE": "peer_settings"}))
                shutil.rmtree(folder / "var" / "dbbackup", ignore_errors=True)
            at, cpu = ({key: median(found) for key, found in each.items()} for each in (walls, works))
            newest = max((folder / "var" / "backups").glob("*.zst"), key=lambda path: path.stat().st_mtime)
            timed(f"zstd -dcq {newest} | zstd -3 -T2 -q -o {folder}/again.zst", env)
            tell(engine, at, cpu, newest.stat().st_size / (folder / "again.zst").stat().st_size)
            tell_stalls(engine, live, lambda: timed([python, manage, "backup"], env), at["ours"])


def main() -> None:
    """Measure each engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--engines", nargs="+", choices=tuple(TARGETS), default=tuple(TARGETS))
    given = parser.parse_args()
    print(f"{describe()}; {given.megabytes} MB, median of {given.runs}")
    for engine in given.engines:
        measure(engine, given.megabytes, given.runs)


if __name__ == "__main__":
    main()
