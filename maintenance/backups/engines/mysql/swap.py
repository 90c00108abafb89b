"""Putting a restored database in the live one's place: all tables in one statement, the rest by a journal.

RENAME TABLE moves tables between databases at once, but neither views nor routines, and no table with triggers. So
these are written down first, in the database that takes the old tables. A killed run is reverted before that statement,
and finished after it: which one it is tells a table that the same statement renames.
"""

import json
from collections.abc import Callable, Iterable
from typing import Final

from django.db.utils import DatabaseError

from maintenance.backups.errors import DatabaseBusy, RestoreFailed, RestoreUnfinished

from . import objects, schemas
from .connection import Server, quoted
from .objects import Definition

JOURNAL: Final = "__maintenance_restore_journal"
PENDING: Final = "__maintenance_restore_pending"
DONE: Final = "__maintenance_restore_done"
# How long others' transactions are waited for, in seconds.
PATIENCE: Final = 30
_LOCK_TIMEOUT: Final = 1205
RunEvents = Callable[[bytes], None]


class Swap:
    """The change of one database: ``server`` is connected to it, and holds its lock."""

    def __init__(self, server: Server, live: str, run_events: RunEvents) -> None:
        self.live, self.new, self.old = live, schemas.beside(live, "new"), schemas.beside(live, "old")
        self._server, self._run_events = server, run_events

    def run(self, events: bytes) -> None:
        """Put ``new`` in the place of ``live``. Raises DatabaseBusy, RestoreFailed, RestoreUnfinished."""
        cursor = self._server.cursor
        try:
            # Triggers wait, too, for whoever reads their table in a transaction: a day, by default.
            cursor.execute(f"SET SESSION lock_wait_timeout = {PATIENCE}")
            self._write_down(events)
            for name in (self.new, self.live):
                self._use(name)
                objects.drop(cursor, "TRIGGER")
            cursor.execute(self._statement())
        except DatabaseError as error:
            self._revert()
            if error.args[:1] == (_LOCK_TIMEOUT,):
                raise DatabaseBusy(where=self.live, seconds=PATIENCE) from error
            raise RestoreFailed(where=self.live, reason=error.args[-1]) from error
        self._finish()

    def recover(self) -> str:
        """Finish or revert what a killed run left; return what was done, or nothing. Raises RestoreUnfinished."""
        if not schemas.exists(self._server, self.old):
            schemas.drop(self._server, self.new)
            return ""
        if DONE in self._tables(self.old):
            self._finish()
            return f"Finished the restore of {self.live!r} that was killed: the restored content is in place."
        self._revert()
        return f"Reverted the restore of {self.live!r} that was killed: the old content is in place."

    def _write_down(self, events: bytes) -> None:
        cursor = self._server.cursor
        schemas.create(self._server, self.old)
        old = quoted(self.old)
        cursor.execute(
            f"CREATE TABLE {old}.{quoted(JOURNAL)} (id INT PRIMARY KEY AUTO_INCREMENT, side VARCHAR(8) NOT NULL, "
            "content LONGBLOB NOT NULL) ENGINE=InnoDB"
        )
        self._use(self.live)
        self._note("live", (one.facts() for one in objects.read(cursor, "TRIGGER")))
        self._use(self.new)
        self._note("new", (one.facts() for one in objects.read(cursor, "ROUTINE", "VIEW", "TRIGGER")))
        self._note("events", [events.decode("utf-8", "surrogateescape")])
        # The journal is whole from here on.
        cursor.execute(f"CREATE TABLE {old}.{quoted(PENDING)} (id INT) ENGINE=InnoDB")

    def _note(self, side: str, facts: Iterable[object]) -> None:
        for each in facts:
            self._server.cursor.execute(
                f"INSERT INTO {quoted(self.old)}.{quoted(JOURNAL)} (side, content) VALUES (%s, %s)",  # noqa: S608
                [side, json.dumps(each).encode()],
            )

    def _noted(self, side: str) -> list[Definition]:
        return [Definition(**facts) for facts in self._content(side)]

    def _content(self, side: str) -> list[dict[str, str]]:
        query = f"SELECT content FROM {quoted(self.old)}.{quoted(JOURNAL)} WHERE side = %s ORDER BY id"  # noqa: S608
        self._server.cursor.execute(query, [side])
        return [json.loads(row[0]) for row in self._server.cursor.fetchall()]

    def _statement(self) -> str:
        moves = [(self.live, name, self.old, name) for name in self._tables(self.live)]
        moves += [(self.new, name, self.live, name) for name in self._tables(self.new)]
        moves.append((self.old, PENDING, self.old, DONE))
        return "RENAME TABLE " + ", ".join(
            f"{quoted(source)}.{quoted(name)} TO {quoted(target)}.{quoted(other)}"
            for source, name, target, other in moves
        )

    def _finish(self) -> None:
        """Make what no statement could move. It can be done again, from its beginning."""
        cursor = self._server.cursor
        try:
            self._use(self.live)
            objects.drop(cursor, "EVENT", "TRIGGER", "VIEW", "ROUTINE")
            objects.make(cursor, self._noted("new"))
            for events in self._content("events"):
                if events:
                    self._run_events(str(events).encode("utf-8", "surrogateescape"))
        except (DatabaseError, RestoreFailed) as error:
            raise RestoreUnfinished(where=self.live, reason=error.args[-1]) from error
        schemas.drop(self._server, self.new)
        schemas.drop(self._server, self.old)

    def _revert(self) -> None:
        """Give the live tables their triggers back, and drop what is ours."""
        if not schemas.exists(self._server, self.old):
            schemas.drop(self._server, self.new)
            return
        cursor = self._server.cursor
        if PENDING in self._tables(self.old):
            self._use(self.live)
            there = objects.listed(cursor, "TRIGGER")
            objects.make(cursor, (each for each in self._noted("live") if (each.kind, each.name) not in there))
        schemas.drop(self._server, self.new)
        schemas.drop(self._server, self.old)
        self._use(self.live)

    def _tables(self, name: str) -> list[str]:
        self._server.cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
            "AND table_type NOT IN ('VIEW', 'SYSTEM VIEW') ORDER BY table_name",
            [name],
        )
        return [str(row[0]) for row in self._server.cursor.fetchall()]

    def _use(self, name: str) -> None:
        self._server.cursor.execute(f"USE {quoted(name)}")
