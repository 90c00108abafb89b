"""Backups of the servers on their way back: everything as it was, or nothing touched."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from maintenance.backups import create, destination, restore, verify
from maintenance.backups.destination import Destination
from maintenance.backups.errors import Damaged, NameTaken
from maintenance.backups.manifest import Manifest
from maintenance.backups.shelves import Place
from maintenance.backups.sidecars import Entry
from tests.databases import Live, run

TTL = timedelta(minutes=5)
POSTGRESQL = """
CREATE EXTENSION hstore;
CREATE SCHEMA other;
COMMENT ON SCHEMA other IS 'a comment';
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE parent (id serial PRIMARY KEY, name text UNIQUE, tags hstore);
CREATE TABLE entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text, raw bytea, at timestamptz, amount numeric(40, 20),
    maybe text, doc jsonb, parent int REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED,
    long int GENERATED ALWAYS AS (length(text)) STORED, feel mood, code short
);
CREATE INDEX entry_text ON entry (lower(text)) WHERE maybe IS NOT NULL;
CREATE VIEW brief AS SELECT id, text FROM entry WHERE long < 4;
CREATE MATERIALIZED VIEW counted AS SELECT parent, count(*) FROM entry GROUP BY parent;
CREATE TABLE log (what text);
CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO log VALUES ('in ' || NEW.id); RETURN NEW; END$$;
CREATE TRIGGER entry_logged AFTER INSERT ON entry FOR EACH ROW EXECUTE FUNCTION logged();
CREATE SEQUENCE counter START 41;
SELECT nextval('counter');
CREATE TABLE other."a ""quoted"" name" (id int, note text);
CREATE TABLE parted (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO parted VALUES (1, '2026-05-05');
CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz);
INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now()), ('auth', '0002_more', now());
INSERT INTO parent (name, tags) VALUES ('one', 'a=>1'), ('two', NULL);
DELETE FROM parent WHERE name = 'two';
INSERT INTO entry (text, raw, at, amount, maybe, doc, parent, feel, code)
SELECT v.* FROM generate_series(1, 50), (VALUES
    (E'a\\r\\nb\\n', '\\x00ff1a0d0a'::bytea, '2026-11-22 03:04:05.678901+00'::timestamptz,
     12345678901234567890.123456789, NULL, '{"k": [1, null, "ü"]}'::jsonb, 1, 'ok'::mood, 'x'),
    (E'\\');\\n-- \\\\. $$', '', '0001-01-01', -0.10, '', '"\\u2028"', 1, 'sad', NULL),
    (E'😀 \\u2028 ü \\\\N', '\\x5c', 'infinity', 0, '''', '[]', NULL, NULL, '')) v;
REFRESH MATERIALIZED VIEW counted;
SELECT lo_from_bytea(4242, '\\x0102');
GRANT SELECT ON entry TO PUBLIC;
"""
# Beside it belongs to who restores it: roles may be others there.
GRANT = "\n\n\nGRANT SELECT ON TABLE public.entry TO PUBLIC;"
CHANGES = {
    "postgresql": (
        "DROP VIEW brief",
        "CREATE TABLE made_after (id int REFERENCES entry (id))",
        "INSERT INTO parent (name) VALUES ('made after the backup')",
        'DELETE FROM other."a ""quoted"" name"',
        "DELETE FROM entry WHERE id > 20",
        "CREATE FUNCTION made_after() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT setval('counter', 1000)",
        "SELECT lo_unlink(4242)",
        "SELECT lo_from_bytea(4343, 'x')",
        "ALTER TABLE log ADD COLUMN made_after int",
    ),
    "mysql": (),
}


@pytest.fixture
def where(tmp_path: Path) -> Destination:
    return destination.choose(alias="backups", configured={}, root=tmp_path / "backups")


def back_up(where: Destination, **how: Any) -> Manifest:
    plan = create.plan(alias="archive", destinations=(where,), **how)
    return create.create(plan, holder="test", ttl=TTL, clock=timezone.now).manifest


def put_back(
    where: Destination, backup: Manifest, *, identity: Path | None = None, safety: Callable[[], str] = str, **how: Any
) -> restore.Restored:
    plan = restore.plan(Place(where, Entry(backup)), **how)
    return restore.restore(plan, holder="test", ttl=TTL, identity=identity, safety=safety)


def fill(live: Live) -> None:
    connection = live.connect()
    run(connection, *([POSTGRESQL] if live.engine == "postgresql" else []))
    connection.close()


def change(live: Live) -> None:
    connection = live.connect()
    run(connection, *CHANGES[live.engine])
    connection.close()


def content(live: Any, name: str = "") -> str:
    """Return the whole database as its own dump program writes it."""
    if live.engine == "postgresql":
        tool = Path(live.server.psql).with_name("pg_dump")
        args = [tool, "-h", "127.0.0.1", "-p", str(live.server.port), "-U", "postgres", name or live.name]
    else:
        flags = ["--skip-dump-date", "--routines", "--events", "--triggers", "--hex-blob", "--order-by-primary"]
        args = ["mariadb-dump", "--no-defaults", f"--socket={live.server.socket}", "-uroot", *flags, name or live.name]
    dump = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    lines = (line for line in dump.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict")))
    return "\n".join(lines)


def databases(live: Any) -> set[str]:
    """Return the names of all databases on the server."""
    connection = live.connect()
    cursor = connection.cursor()
    cursor.execute("SELECT datname FROM pg_database" if live.engine == "postgresql" else "SHOW DATABASES")
    names = {row[0] for row in cursor.fetchall()}
    connection.close()
    return names


every_server = pytest.mark.parametrize("live", ["postgresql"], indirect=True)


@every_server
def test_everything_comes_back_as_it_was(live: Any, where: Destination) -> None:
    fill(live)
    before, backup = content(live), back_up(where)
    there = databases(live)
    found = verify.verify(where, backup, level="restore", now=timezone.now())
    assert (found.ok, found.tables) == (True, backup.tables)
    assert verify.verify(where, backup, level="decode", now=timezone.now()).ok
    assert databases(live) == there
    change(live)
    assert content(live) != before
    restored = put_back(where, backup)
    assert content(live) == before
    assert restored.found.tables == backup.tables
    assert (databases(live), list(where.staging.glob(".*"))) == (there, [])
    put_back(where, backup)
    assert content(live) == before, "a second time, over what is the same"


@every_server
def test_it_is_restored_beside(live: Any, where: Destination) -> None:
    fill(live)
    before, backup = content(live), back_up(where)
    name = f"{live.name}_beside"
    put_back(where, backup, into=name)
    assert content(live, name).replace(name, live.name) == before.replace(GRANT, "")
    with pytest.raises(NameTaken):
        put_back(where, backup, into=name)


@every_server
def test_damage_never_touches_the_database(live: Any, where: Destination) -> None:
    fill(live)
    backup = back_up(where)
    change(live)
    now, there = content(live), databases(live)
    file = where.staging / backup.file
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 6):
        for stored in (whole[:place], whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]):
            file.write_bytes(stored)
            for level in ("decode", "restore"):
                with pytest.raises(Damaged):
                    verify.verify(where, backup, level=level, now=timezone.now())
            with pytest.raises(Damaged):
                put_back(where, backup, safety=lambda: pytest.fail("damage is found before anything else"))
    assert (content(live), databases(live)) == (now, there)
