"""Rules of the databases: connections, locks and files."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ... import host
from .base import ERROR, WARNING, Trouble, rule
from .facts import GREEN, Facts

_SERVERS: Final = ("postgresql", "postgis", "mysql")


@rule("sqlite-without-wal", WARNING, "database")
def sqlite_without_wal(facts: Facts) -> Iterator[Trouble]:
    """Web, worker and beat lock each other out: "database is locked".

    In its default journal mode SQLite lets nobody read while one writes. WAL does; it stays with the file once it
    was set. Source: SQLite, Write-Ahead Logging.
    """
    for alias, options in _sqlite(facts):
        if "journal_mode=wal" not in str(options.get("init_command", "")).lower().replace(" ", ""):
            wanted = '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"'
            yield Trouble(f"The SQLite database {alias!r} is not set to WAL.", _add(alias, wanted))


@rule("sqlite-impatient", WARNING, "database")
def sqlite_impatient(facts: Facts) -> Iterator[Trouble]:
    """A task or request that meets another writer fails after 5 s: "database is locked".

    5 s is Python's default, and less than a purge, a backup or a migration may hold the lock.
    Source: Django, Databases, "Database is locked errors".
    """
    for alias, options in _sqlite(facts):
        if float(options.get("timeout", 5)) <= 5:
            yield Trouble(f"Writers of the SQLite database {alias!r} wait 5s at most.", _add(alias, '"timeout": 20'))


@rule("sqlite-deferred", WARNING, "database")
def sqlite_deferred(facts: Facts) -> Iterator[Trouble]:
    """A transaction that begins with reading and then writes fails at once, whatever the timeout is.

    A deferred transaction cannot wait for its turn in the middle: what it read may be old. IMMEDIATE waits at its
    start. Source: Django, Databases, "Transactions behavior"; SQLite, BEGIN.
    """
    for alias, options in _sqlite(facts):
        if str(options.get("transaction_mode", "")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
            wanted = '"transaction_mode": "IMMEDIATE"'
            yield Trouble(f"Transactions of the SQLite database {alias!r} are deferred.", _add(alias, wanted))


@rule("sqlite-on-passing-disk", ERROR, "database", deploy=True)
def sqlite_on_passing_disk(facts: Facts) -> Iterator[Trouble]:
    """Each deploy and each restart begins with an empty database, and worker and web have one each.

    On these hosts every process has a disk of its own, which goes with it. Source: Heroku, Dynos,
    "Ephemeral filesystem", and its like.
    """
    place = host.hosting(facts.environ)
    for alias, _ in _sqlite(facts):
        if place is not None:
            cure = "Set DATABASE_URL to the host's PostgreSQL, or mount a volume and silence this rule."
            yield Trouble(f"The database {alias!r} is an SQLite file on {place.name}.", cure)


@rule("stale-connections", WARNING, "database")
def stale_connections(facts: Facts) -> Iterator[Trouble]:
    """After a restart of the database, one task or request for each old connection fails.

    A kept connection should be tried before it is used again.
    Source: Django, Databases, "Persistent connections", CONN_HEALTH_CHECKS.
    """
    for alias, entry in _servers(facts):
        if entry.get("CONN_MAX_AGE", 0) != 0 and not entry.get("CONN_HEALTH_CHECKS"):
            yield Trouble(
                f"Connections to {alias!r} are kept and not checked.",
                f'Set DATABASES["{alias}"]["CONN_HEALTH_CHECKS"] = True.',
            )


@rule("connections-kept-by-green-pools", WARNING, "database")
def connections_kept_by_green_pools(facts: Facts) -> Iterator[Trouble]:
    """Each greenlet or thread keeps a connection of its own, until the database refuses more.

    Django keeps connections by thread. Celery closes those that are older than CONN_MAX_AGE after each task: with 0
    all of them. Source: Django, Databases, "Persistent connections"; celery.fixups.django.
    """
    for worker in facts.workers:
        for alias, entry in _servers(facts):
            age = entry.get("CONN_MAX_AGE", 0)
            if worker.pool in (*GREEN, "threads") and age != 0:
                kept = "for ever" if age is None else f"for {age}s"
                fact = f"Each {worker.pool} task of {worker.where} may keep a connection to {alias!r} {kept}."
                yield Trouble(fact, f'Set DATABASES["{alias}"]["CONN_MAX_AGE"] = 0, or use --pool prefork.')


@rule("pool-smaller-than-worker", WARNING, "database")
def pool_smaller_than_worker(facts: Facts) -> Iterator[Trouble]:
    """Tasks wait for a connection and fail after 30 s (PoolTimeout) while the database is idle.

    A psycopg pool is of one process, whose threads or greenlets share it; it holds 4 unless told otherwise.
    Source: Django, Databases, "Connection pool"; psycopg_pool, ConnectionPool.
    """
    for worker in facts.workers:
        for alias, entry in _servers(facts):
            pool = (entry.get("OPTIONS") or {}).get("pool")
            size = pool.get("max_size") or pool.get("min_size", 4) if isinstance(pool, Mapping) else 4
            if pool and worker.pool in (*GREEN, "threads") and (worker.concurrency or 0) > size:
                fact = f"{worker.where} runs {worker.concurrency} tasks over {size} connections to {alias!r}."
                cure = f'Set DATABASES["{alias}"]["OPTIONS"]["pool"] = {{"max_size": {worker.concurrency}}}.'
                yield Trouble(fact[0].upper() + fact[1:], cure)


@rule("concurrency-above-connections", ERROR, "database")
def concurrency_above_connections(facts: Facts) -> Iterator[Trouble]:
    """The busiest moment is when tasks fail: "too many connections".

    Every process or thread of a worker takes a connection of its own. The limit is what MAINTENANCE says that one
    worker may take; doctor asks the server for its own. Source: PostgreSQL, max_connections.
    """
    limit = facts.ours.worker.database_connections
    for worker in facts.workers:
        if limit and not worker.is_planned and (worker.concurrency or 0) > limit:
            fact = f"{worker.where} runs {worker.concurrency} tasks, and may take {limit} connections."
            yield Trouble(fact[0].upper() + fact[1:], f"Set {facts.line('worker_concurrency', limit)}.")


@rule("pgbouncer-cursors", WARNING, "database")
def pgbouncer_cursors(facts: Facts) -> Iterator[Trouble]:
    """iterator() fails with 'cursor "_django_curs_…" does not exist' in the middle of a task.

    A transaction pooler gives each transaction another server connection; a server-side cursor lives in one.
    Source: Django, Databases, "Transaction pooling and server-side cursors".
    """
    for alias, entry in _servers(facts):
        where = f"{entry.get('HOST', '')}:{entry.get('PORT', '')}"
        pooled = where.endswith((":6432", ":6543")) or "pgbouncer" in where or "pooler" in where
        if pooled and "mysql" not in str(entry["ENGINE"]) and not entry.get("DISABLE_SERVER_SIDE_CURSORS"):
            cure = f'Set DATABASES["{alias}"]["DISABLE_SERVER_SIDE_CURSORS"] = True.'
            yield Trouble(f"The database {alias!r} looks like a transaction pooler ({where}).", cure)


def _sqlite(facts: Facts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the SQLite files with their OPTIONS; what is in memory has one process only."""
    for alias, entry in facts.django("DATABASES", {}).items():
        name = str(entry.get("NAME", ""))
        if "sqlite" in str(entry.get("ENGINE", "")) and ":memory:" not in name and "mode=memory" not in name:
            yield alias, entry.get("OPTIONS") or {}


def _servers(facts: Facts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for alias, entry in facts.django("DATABASES", {}).items():
        if str(entry.get("ENGINE", "")).rpartition(".")[2] in _SERVERS:
            yield alias, entry


def _add(alias: str, option: str) -> str:
    return f'Add {option} to DATABASES["{alias}"]["OPTIONS"].'
