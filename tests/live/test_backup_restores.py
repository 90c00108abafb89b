"""Backups of the servers on their way back: everything as it was, or nothing touched."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count, groupby
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from maintenance.backups import catalog, create, destination, restore, verify
from maintenance.backups.destination import Destination
from maintenance.backups.errors import Damaged, DatabaseBusy, NameTaken, PrivilegeMissing, RestoreFailed
from maintenance.backups.manifest import Manifest
from maintenance.backups.shelves import Place
from maintenance.backups.sidecars import Entry, Verified
from tests.databases import Live, configured, content, run

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
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'db.example.com');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user 'guest');
CREATE FOREIGN TABLE far (id int) SERVER elsewhere;
CREATE FOREIGN DATA WRAPPER own_wrapper;
CREATE PUBLICATION news FOR TABLE entry;
CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE LOG 'changed'; END$$;
CREATE EVENT TRIGGER tell ON ddl_command_end EXECUTE FUNCTION told();
CREATE OPERATOR FAMILY odd USING btree;
GRANT SELECT ON entry TO PUBLIC;
"""
MYSQL = r"""
CREATE TABLE parent (id int AUTO_INCREMENT PRIMARY KEY, name varchar(50) UNIQUE) ENGINE=InnoDB;
CREATE TABLE entry (
    id bigint AUTO_INCREMENT PRIMARY KEY, text longtext, raw longblob, at datetime(6), amount decimal(40, 20),
    maybe varchar(20), doc json, parent int, `long` int GENERATED ALWAYS AS (char_length(text)) STORED,
    feel enum('sad', 'ok'), KEY entry_maybe (maybe), CONSTRAINT entry_parent FOREIGN KEY (parent) REFERENCES parent (id)
) ENGINE=InnoDB;
CREATE TABLE log (what text) ENGINE=InnoDB;
CREATE TABLE `a ``quoted`` name` (id int, note text) ENGINE=InnoDB;
CREATE TABLE old_engine (id int) ENGINE=MyISAM;
CREATE TABLE django_migrations (id int AUTO_INCREMENT PRIMARY KEY, app varchar(99), name varchar(99));
CREATE SEQUENCE counter START WITH 41;
SELECT nextval(counter);
INSERT INTO django_migrations (app, name) VALUES ('auth', '0001_initial'), ('auth', '0002_more');
INSERT INTO parent (name) VALUES ('one'), ('two');
DELETE FROM parent WHERE name = 'two';
CREATE TRIGGER entry_logged AFTER INSERT ON entry FOR EACH ROW INSERT INTO log VALUES (concat('in ü ', NEW.id));
CREATE TRIGGER entry_logged_2 AFTER INSERT ON entry FOR EACH ROW INSERT INTO log VALUES ('again');
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
CREATE PROCEDURE forget() DELETE FROM log;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 00:00:00' DO DELETE FROM log WHERE what = 'never;';
CREATE VIEW zz_first AS SELECT id, text, twice(`long`) AS n FROM entry;
CREATE VIEW a_last AS SELECT * FROM zz_first;
INSERT INTO entry (text, raw, at, amount, maybe, doc, parent, feel) VALUES
    ('a\r\nb\n', x'00ff1a0d0a', '2026-11-22 03:04:05.678901', 12345678901234567890.123456789, NULL, '{"k": [1, null]}',
     1, 'ok'),
    ('\');\n-- \\. $$ \0', '', '1000-01-01', -0.10, '', '"\\u2028"', 1, 'sad'),
    ('😀 \u2028 ü \\N', x'5c', '9999-12-31', 0, '\'', '[]', NULL, NULL);
INSERT INTO entry (text, raw, at, amount, maybe, doc, parent, feel)
SELECT e.text, e.raw, e.at, e.amount, e.maybe, e.doc, e.parent, e.feel FROM entry e, entry f, entry g;
"""
# Beside it belongs to who restores it: roles may be others there.
GRANT = "\nGRANT SELECT ON TABLE public.entry TO PUBLIC;"
CHANGES = {
    "postgresql": (
        "DROP VIEW brief",
        "CREATE SERVER made_after FOREIGN DATA WRAPPER own_wrapper",
        "DROP PUBLICATION news",
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
    "mysql": (
        "DROP VIEW a_last",
        "CREATE TABLE made_after (id bigint, FOREIGN KEY (id) REFERENCES entry (id)) ENGINE=InnoDB",
        "INSERT INTO parent (name) VALUES ('made after the backup')",
        "DELETE FROM `a ``quoted`` name`",
        "DELETE FROM entry WHERE id > 20",
        "CREATE FUNCTION made_after() RETURNS int DETERMINISTIC RETURN 1",
        "CREATE VIEW made_after_too AS SELECT 1",
        "DROP EVENT nightly",
        "CREATE TRIGGER made_after BEFORE INSERT ON parent FOR EACH ROW SET NEW.name = upper(NEW.name)",
        "DROP TRIGGER entry_logged",
        "SELECT nextval(counter)",
        "ALTER TABLE log ADD COLUMN made_after int",
    ),
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
    if live.engine == "postgresql":
        run(connection, POSTGRESQL)
    else:
        connection.set_character_set("utf8mb4")
        run(connection, *(one for one in MYSQL.split(";\n") if one.strip()))
    connection.close()


def change(live: Live) -> None:
    connection = live.connect()
    run(connection, *CHANGES[live.engine])
    connection.close()


def ask(live: Any, query: str) -> list[Any]:
    """Return what a query answers."""
    connection = live.connect()
    cursor = connection.cursor()
    cursor.execute(query)
    rows = list(cursor.fetchall()) if cursor.description else []
    connection.close()
    return rows


def databases(live: Any) -> set[str]:
    """Return the names of all databases on the server."""
    query = "SELECT datname FROM pg_database" if live.engine == "postgresql" else "SHOW DATABASES"
    return {row[0] for row in ask(live, query)}


every_server = pytest.mark.parametrize("live", ["postgresql", "mysql"], indirect=True)


@every_server
def test_everything_comes_back_as_it_was(live: Any, where: Destination) -> None:
    fill(live)
    before, backup = content(live), back_up(where)
    there = databases(live)
    found = verify.verify(where, backup, level="restore", now=timezone.now())
    assert (found.ok, found.tables) == (True, backup.tables or found.tables)
    assert verify.verify(where, backup, level="decode", now=timezone.now()).ok
    assert databases(live) == there
    change(live)
    assert content(live) != before
    restored = put_back(where, backup)
    assert content(live) == before
    assert restored.found.tables == found.tables
    assert (databases(live), list(where.staging.glob(".*"))) == (there, [])
    put_back(where, backup)
    assert content(live) == before, "a second time, over what is the same"


@every_server
def test_it_is_restored_beside(live: Any, where: Destination) -> None:
    fill(live)
    backup = back_up(where)
    if live.engine == "mysql":
        # Beside, events are left out: they would run twice.
        ask(live, "DROP EVENT nightly")
    name = f"{live.name}_beside"
    put_back(where, backup, into=name)
    assert content(live, name).replace(name, live.name) == content(live).replace(GRANT, "")
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


@every_server
def test_the_live_database_is_locked_by_others(live: Any, where: Destination, monkeypatch: Any) -> None:
    fill(live)
    backup = back_up(where)
    change(live)
    now, there = content(live), databases(live)
    monkeypatch.setattr("maintenance.backups.engines.postgresql.contents.PATIENCE", 1)
    monkeypatch.setattr("maintenance.backups.engines.mysql.swap.PATIENCE", 1)
    other = live.connect()
    run(other, "BEGIN", "SELECT count(*) FROM entry")
    with pytest.raises(DatabaseBusy) as caught:
        put_back(where, backup)
    assert caught.value.exit_code == 4
    run(other, "ROLLBACK")
    other.close()
    assert (content(live), databases(live)) == (now, there)
    put_back(where, backup)


@every_server
def test_what_no_longer_fits_the_manifest_is_rolled_back(live: Any, where: Destination) -> None:
    fill(live)
    backup = back_up(where)
    change(live)
    now, there = content(live), databases(live)
    tables = verify.verify(where, backup, level="restore", now=timezone.now()).tables or {}
    wrong = replace(backup, tables={**tables, "entry": 1})
    with pytest.raises((RestoreFailed, Damaged)) as caught:
        put_back(where, wrong)
    assert "instead of 1" in str(caught.value)
    assert (content(live), databases(live)) == (now, there)


@every_server
def test_without_the_right_to_create_databases_the_dump_is_read(live: Any, where: Destination) -> None:
    fill(live)
    backup = back_up(where)
    owner = LIMITED[live.engine](live)
    with configured("limited", **live.settings | owner), pytest.raises(PrivilegeMissing) as caught:
        verify.verify(where, backup, level="restore", now=timezone.now(), using="limited")
    assert caught.value.exit_code == 69
    noted = catalog.learnt(where.storage, backup, Verified)
    assert noted is not None
    assert (noted.level, noted.ok) == ("decode", True)


@every_server
def test_scratch_of_the_settings_is_where_a_drill_restores(
    live: Any, where: Destination, settings: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    fill(live)
    backup, there = back_up(where), databases(live)
    for name, value in LIMITED[live.engine](live).items():
        monkeypatch.setitem(connections.databases["archive"], name, value)
    connections["archive"].close()
    given = {"ROOT": tmp_path / "backups", "DATABASES": ["archive"]}
    drill = ("verify_backup", "latest", "--database=archive")
    settings.MAINTENANCE = {"BACKUPS": given}
    with pytest.raises(CommandError, match=r"may not create databases .*, or set BACKUPS\.SCRATCH") as refused:
        call_command(*drill)
    assert refused.value.returncode == 69
    settings.MAINTENANCE = {"BACKUPS": {**given, "SCRATCH": "scratch"}}
    with configured("scratch", **live.settings):
        call_command(*drill)
    noted = catalog.learnt(where.storage, backup, Verified)
    assert noted is not None
    assert (noted.level, noted.ok, databases(live)) == ("restore", True, there)


def limited_postgresql(live: Any) -> dict[str, Any]:
    user = f"user_{live.name}"
    for statement in (
        f"CREATE ROLE {user} LOGIN",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}",
    ):
        ask(live, statement)
    return {"USER": user}


def limited_mysql(live: Any) -> dict[str, Any]:
    user = f"user_{live.name}"
    ask(live, f"CREATE USER {user}@'%' IDENTIFIED BY 'x'")
    ask(live, f"GRANT ALL ON `{live.name}`.* TO {user}@'%'")
    return {"USER": user, "PASSWORD": "x"}


LIMITED = {"postgresql": limited_postgresql, "mysql": limited_mysql}


@pytest.mark.parametrize("live", ["postgresql"], indirect=True)
def test_an_owner_who_is_no_superuser_restores_what_is_hers(live: Any, where: Destination, monkeypatch: Any) -> None:
    user = f"owner_{live.name}"
    for statement in (
        f"CREATE ROLE {user} LOGIN",
        "CREATE EXTENSION hstore",
        "CREATE TABLE theirs (id int)",
        f"GRANT CREATE ON SCHEMA public TO {user}",
        f"GRANT SELECT ON theirs TO {user}",
    ):
        ask(live, statement)
    make = "CREATE TABLE ours (id serial, tags hstore); INSERT INTO ours (tags) VALUES ('a=>1')"
    ask(live, f"SET ROLE {user}; {make}")
    monkeypatch.setitem(connections.databases["archive"], "USER", user)
    backup = back_up(where)
    ask(live, "INSERT INTO ours (id) VALUES (99)")
    with pytest.raises(RestoreFailed, match="theirs"):
        put_back(where, backup)
    assert ask(live, "SELECT count(*) FROM ours") == [(2,)]
    ask(live, f"ALTER TABLE theirs OWNER TO {user}")
    put_back(where, backup)
    assert ask(live, "SELECT id FROM ours") == [(1,)]
    assert ask(live, "SELECT extname FROM pg_extension WHERE extname = 'hstore'") == [("hstore",)]


class Killed(BaseException):
    """Stands for a kill -9: nothing of ours runs after it but what the server does by itself."""


# Every statement is a place to be killed at; the short form takes some of them.
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("live", ["mysql"], indirect=True)
def test_a_killed_swap_is_reverted_or_finished(
    live: Any, where: Destination, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    fill(live)
    before, backup = content(live), back_up(where)
    there = databases(live)
    change(live)
    changed, dump = content(live), back_up(where)
    outcomes = []
    for step in count(0, stride):
        if not killed_after(step, lambda: put_back(where, backup), monkeypatch):
            break
        said = restore.recover("archive")
        outcomes.append(said.partition(" ")[0])
        # After the last statement there is nothing left to finish: it is restored.
        assert content(live) == (before if "Finished" in outcomes else changed), f"killed after {step} statements"
        assert databases(live) == there
        assert restore.recover("archive") == ""
        put_back(where, dump)
        assert content(live) == changed
    assert content(live) == before
    assert set(outcomes) == {"", "Reverted", "Finished"}
    order = [said for said, _ in groupby(outcomes)]
    assert order in (["", "Reverted", "Finished"], ["", "Reverted", "Finished", ""])


def killed_after(step: int, act: Callable[[], object], monkeypatch: Any) -> bool:
    """Do ``act``, but let nothing be changed after so many changing statements, as if we were not there any more."""
    left = [step]
    real = CursorWrapper.execute

    def counting(self: Any, query: Any, params: Any = None) -> Any:
        text = query if isinstance(query, str) else query.decode("latin1")
        if text.startswith(("CREATE", "DROP", "INSERT", "RENAME")):
            if not left[0]:
                raise Killed
            left[0] -= 1
        return real(self, query, params)

    with monkeypatch.context() as patched:
        patched.setattr(CursorWrapper, "execute", counting)
        try:
            act()
        except Killed:
            return True
    return False
