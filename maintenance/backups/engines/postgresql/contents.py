"""What a dump for PostgreSQL holds, and the SQL around its script: what goes before, what must be there after."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from maintenance import pipes
from maintenance.backups.job import Job
from maintenance.backups.manifest import Manifest
from maintenance.process import Command

# "8; 2615 16550 SCHEMA - other postgres", "3508; 0 0 COMMENT - SCHEMA other postgres": the owner is the last word.
_ENTRY: Final = re.compile(r"\d+; \d+ \d+ (?:(?:COMMENT|ACL) - )?(SCHEMA|EXTENSION) (?:- )?(.+) \S*")
PATIENCE: Final = 30
"""How long others' locks are waited for, in seconds."""


@dataclass(frozen=True)
class Listed:
    """A dump's table of contents, as pg_restore lists it."""

    text: str

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas that were backed up. public is listed only when somebody changed it."""
        found = (_ENTRY.fullmatch(line) for line in self.text.splitlines())
        return tuple(dict.fromkeys(["public", *(entry[2] for entry in found if entry and entry[1] == "SCHEMA")]))

    def without(self, there: Collection[tuple[str, str]]) -> str:
        """Return it without the schemas and extensions (kind, name) that are there: they stay as they are."""
        kept = []
        for line in self.text.splitlines():
            entry = _ENTRY.fullmatch(line)
            if entry is None or (entry[1], entry[2]) not in there:
                kept.append(line)
        return "\n".join(kept) + "\n"


def listed(job: Job, program: str) -> Listed:
    """Ask pg_restore for the table of contents; it reads the beginning of the dump only."""
    said: list[bytes] = []
    try:
        with pipes.running(Command((program, "--list"), env={"LC_ALL": "C"}), feed=True, waiting=lambda: None) as asked:
            try:
                job.feed(asked.write)
            finally:
                said += asked.chunks()
    except pipes.ProgramFailed as error:
        if error.facts["status"] != 0:  # with 0 it has read as much as it wanted to
            raise
    return Listed(b"".join(said).decode())


def there(cursor: Any) -> set[tuple[str, str]]:
    """Return the schemas and extensions of a database as (kind, name)."""
    cursor.execute(
        "SELECT 'SCHEMA', nspname FROM pg_catalog.pg_namespace UNION ALL "
        "SELECT 'EXTENSION', extname FROM pg_catalog.pg_extension"
    )
    return {(kind, name) for kind, name in cursor.fetchall()}


def may_give_away(cursor: Any) -> bool:
    """Return whether we may make others the owners of what is restored."""
    cursor.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    return bool(cursor.fetchone()[0])


def beginning(schemas: Collection[str]) -> str:
    """Return the SQL that begins the transaction: whatever we own in the schemas goes, they and extensions stay."""
    names = ", ".join(text(name) for name in schemas)
    # The names are quoted as text.
    return f"""
BEGIN;
SET LOCAL client_min_messages = error;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '{PATIENCE}s';
DO $maintenance$
DECLARE
  ours text;
BEGIN
  -- What is in no schema, first: event triggers would hear of the rest. Those of extensions stay with them.
  FOREACH ours IN ARRAY ARRAY(
    WITH mine AS (
      SELECT 'pg_catalog.pg_publication'::regclass AS classid, oid, 'PUBLICATION' AS kind, pubname AS name,
        pubowner AS owner
      FROM pg_catalog.pg_publication
      UNION ALL
      SELECT 'pg_catalog.pg_event_trigger'::regclass, oid, 'EVENT TRIGGER', evtname, evtowner
      FROM pg_catalog.pg_event_trigger
      UNION ALL
      SELECT 'pg_catalog.pg_foreign_server'::regclass, oid, 'SERVER', srvname, srvowner
      FROM pg_catalog.pg_foreign_server
      UNION ALL
      SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, oid, 'FOREIGN DATA WRAPPER', fdwname, fdwowner
      FROM pg_catalog.pg_foreign_data_wrapper
    )
    SELECT format('DROP %s IF EXISTS %I CASCADE', kind, name) FROM mine
    WHERE pg_catalog.pg_has_role(mine.owner, 'USAGE') AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d WHERE d.classid = mine.classid AND d.objid = mine.oid AND d.deptype = 'e'))
  LOOP
    EXECUTE ours;
  END LOOP;
  -- All names are taken first: what a cascade has dropped has none any more.
  FOREACH ours IN ARRAY ARRAY(
    WITH mine AS (
      SELECT 'pg_catalog.pg_class'::regclass AS classid, oid, relnamespace AS nsp,
        CASE relkind WHEN 'S' THEN 5 ELSE 1 END AS rank,
        CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
          WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name, relowner AS owner
      FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      UNION ALL
      SELECT 'pg_catalog.pg_proc'::regclass, oid, pronamespace, 2,
        CASE prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
        oid::regprocedure::text, proowner
      FROM pg_catalog.pg_proc
      UNION ALL
      SELECT 'pg_catalog.pg_type'::regclass, t.oid, typnamespace, 3,
        CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, format_type(t.oid, NULL), typowner
      FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
      WHERE typtype IN ('e', 'd', 'r', 'b', 'c') AND typelem = 0 AND (typrelid = 0 OR c.relkind = 'c')
      UNION ALL
      SELECT 'pg_catalog.pg_ts_config'::regclass, oid, cfgnamespace, 4, 'TEXT SEARCH CONFIGURATION',
        oid::regconfig::text, cfgowner
      FROM pg_catalog.pg_ts_config
      UNION ALL
      SELECT 'pg_catalog.pg_ts_dict'::regclass, oid, dictnamespace, 4, 'TEXT SEARCH DICTIONARY',
        oid::regdictionary::text, dictowner
      FROM pg_catalog.pg_ts_dict
      UNION ALL
      SELECT 'pg_catalog.pg_collation'::regclass, oid, collnamespace, 4, 'COLLATION', oid::regcollation::text, collowner
      FROM pg_catalog.pg_collation
      UNION ALL
      SELECT 'pg_catalog.pg_opfamily'::regclass, f.oid, opfnamespace, 4, 'OPERATOR FAMILY',
        format('%s.%I USING %I', opfnamespace::regnamespace, opfname, amname), opfowner
      FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_am a ON a.oid = opfmethod
      UNION ALL
      SELECT 'pg_catalog.pg_operator'::regclass, oid, oprnamespace, 4, 'OPERATOR', oid::regoperator::text, oprowner
      FROM pg_catalog.pg_operator
    )
    SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name)
    FROM mine JOIN pg_catalog.pg_namespace n ON n.oid = mine.nsp
    WHERE n.nspname IN ({names}) AND pg_catalog.pg_has_role(mine.owner, 'USAGE') AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d WHERE d.classid = mine.classid AND d.objid = mine.oid AND d.deptype = 'e')
    ORDER BY rank, mine.oid)
  LOOP
    EXECUTE ours;
  END LOOP;
  PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata
    WHERE pg_catalog.pg_has_role(lomowner, 'USAGE');
END
$maintenance$;
"""  # noqa: S608


def check(backup: Manifest) -> str:
    """Return the SQL that fails unless the tables and their rows are those of the manifest."""
    rows = {name: count for name, count in (backup.tables or {}).items() if name not in backup.excluded}
    return f"""
DO $maintenance$
DECLARE
  expected jsonb := {text(json.dumps(rows))};
  found jsonb := '{{}}';
  one record;
  rows bigint;
BEGIN
  FOR one IN
    SELECT n.nspname, c.relname, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'
  LOOP
    IF expected ? one.name THEN
      EXECUTE format('SELECT count(*) FROM ONLY %I.%I', one.nspname, one.relname) INTO rows;
      found := found || jsonb_build_object(one.name, rows);
    END IF;
  END LOOP;
  IF found <> expected THEN
    SELECT key, value INTO one FROM jsonb_each(expected) WHERE found -> key IS DISTINCT FROM value LIMIT 1;
    RAISE EXCEPTION 'table % has % rows instead of %', one.key, coalesce(found ->> one.key, 'no'), one.value;
  END IF;
END
$maintenance$;
"""  # noqa: S608


def text(value: str) -> str:
    """Return a text as SQL takes it."""
    return "'" + value.replace("'", "''") + "'"
