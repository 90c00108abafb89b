"""Backups beside the bare tools and beside django-dbbackup, on generated data, each engine in one run.

Run it as `python -m benchmarks.backup [--megabytes 300] [--runs 5] [--engines sqlite postgresql mysql] [--stalls]`.
"""

import argparse
import os
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
# (ratio to the bare tool, ratio to dbbackup), at most.
TARGETS = {"sqlite": (1.3, 0.2), "postgresql": (1.6, 0.4), "mysql": (1.5, 0.35)}
SETTINGS = """
from opsproject.settings import *
from opsproject.settings import INSTALLED_APPS, MAINTENANCE, STORAGES, VAR_DIR
INSTALLED_APPS = [*INSTALLED_APPS, "dbbackup"]
MAINTENANCE = {**MAINTENANCE, "BACKUPS": {"KEEP_LAST": 2}}
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


def stalls(live: Live, act: Callable[[], Any]) -> str:
    """Return how long a writer was held up while ``act`` was done, and while nothing was."""
    found = []
    for work in (lambda: time.sleep(3), act):
        writer = Writer(live)
        writer.start()
        began = time.monotonic()
        work()
        writer.over.set()
        writer.join()
        rate = writer.count / (time.monotonic() - began)
        found.append(f"{writer.longest * 1000:.0f} ms ({rate:.0f} commits/s)")
    return f"longest commit: idle {found[0]}, during a backup {found[1]}"


def tell(engine: str, at: dict[str, float], size: float) -> None:
    """Print what was measured, in seconds, beside the targets."""
    tool, peer = TARGETS[engine]
    print(f"{engine}: {', '.join(f'{name} {seconds:.2f} s' for name, seconds in at.items())}")
    print(f"  ours to the bare tool {at['ours'] / at['bare']:.2f}, ", end="")
    print(f"without a command's start {at['verb'] / at['bare']:.2f} (target {tool})")
    print(f"  ours to dbbackup {at['ours'] / at['dbbackup']:.2f} (target {peer})")
    checks = {level: (at[level] - at["start"]) / at["ours"] for level in ("hash", "decode")}
    print(f"  verify: hash {checks['hash']:.2f} (target 0.1), decode {checks['decode']:.2f} (target 0.25) of a backup")
    print(f"  size to zstd -3 {size:.3f} (target 1.05)", flush=True)


def measure(engine: str, megabytes: int, runs: int, *, with_stalls: bool) -> None:
    """Measure one engine and print its lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "bench_settings.py").write_text(SETTINGS)
        python, manage = sys.executable, str(ROOT / "manage.py")
        with database(engine, folder) as (live, url, tool):
            env = {
                **os.environ,
                "DEBUG": "1",
                "VAR_DIR": str(folder / "var"),
                "DATABASE_URL": url,
                "DJANGO_SETTINGS_MODULE": "bench_settings",
                "PYTHONPATH": f"{folder}:{ROOT}",
            }
            timed([python, manage, "migrate", "-v", "0"], env)
            fill(live, megabytes)
            bare = tool if engine == "sqlite" else f"{tool} > /dev/null"
            peer = [python, manage, "dbbackup", "--noinput", *([] if engine == "postgresql" else ["-z"])]
            inside = "import django; django.setup(); from django.core.management import call_command as c; "
            inside += "import time; t = time.monotonic(); c('backup', verbosity=0); print(time.monotonic() - t)"
            contenders: dict[str, list[float]] = {
                key: [] for key in ("bare", "ours", "verb", "dbbackup", "hash", "decode")
            }
            for _ in range(runs):
                contenders["bare"].append(timed(bare, env))
                contenders["ours"].append(timed([python, manage, "backup"], env))
                done = subprocess.run(
                    [python, "-c", inside], env=env, cwd=ROOT, check=True, capture_output=True, text=True
                )
                contenders["verb"].append(float(done.stdout))
                for level in ("hash", "decode"):
                    contenders[level].append(timed([python, manage, "verify_backup", "latest", "--level", level], env))
            for _ in range(min(runs, 3)):
                contenders["dbbackup"].append(timed(peer, env))
                shutil.rmtree(folder / "var" / "dbbackup", ignore_errors=True)
            at = {key: median(values) for key, values in contenders.items()}
            at["start"] = median(timed([python, manage, "list_backups"], env) for _ in range(runs))
            newest = max((folder / "var" / "backups").glob("*.zst"), key=lambda path: path.stat().st_mtime)
            timed(f"zstd -dcq {newest} | zstd -3 -T2 -q -o {folder}/again.zst", env)
            tell(engine, at, newest.stat().st_size / (folder / "again.zst").stat().st_size)
            if with_stalls:
                print(f"  {stalls(live, lambda: timed([python, manage, 'backup'], env))}", flush=True)


def main() -> None:
    """Measure each engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--engines", nargs="+", choices=tuple(TARGETS), default=tuple(TARGETS))
    parser.add_argument("--stalls", action="store_true", help="how long a writer is held up, too")
    given = parser.parse_args()
    print(f"{describe()}; {given.megabytes} MB, median of {given.runs}")
    for engine in given.engines:
        measure(engine, given.megabytes, given.runs, with_stalls=given.stalls)


if __name__ == "__main__":
    main()
