"""Bounded deletes: how many statements, how many rows a transaction, and who is told."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from maintenance import batches, sessions
from maintenance.sessions import Cleared, SessionsCannotExpire, UnknownSessionEngine

pytestmark = pytest.mark.django_db
DB = "django.contrib.sessions.backends.db"


def add(count: int, *, age: timedelta, name: str = "s") -> None:
    expired = timezone.now() - age
    Session.objects.bulk_create(
        Session(session_key=f"{name}{n}", session_data="", expire_date=expired) for n in range(count)
    )


def test_each_batch_is_bounded_and_oldest_goes_first() -> None:
    add(3, age=timedelta(days=1), name="young")
    add(4, age=timedelta(days=2), name="old")
    steps = batches.delete(Session.objects.all(), by="expire_date", size=4)
    assert next(steps) == 4
    assert set(Session.objects.values_list("session_key", flat=True)) == {"young0", "young1", "young2"}
    assert list(steps) == [3]


def test_no_row_is_loaded_and_no_statement_has_too_many_parameters() -> None:
    add(1200, age=timedelta(days=1))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert list(batches.delete(Session.objects.filter(session_data=""), by="expire_date", size=1000)) == [1000, 200]
    selects = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    deletes = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
    assert len(selects) == 3
    assert all(
        sql.startswith(
            'SELECT "django_session"."session_key" AS "pk", "django_session"."expire_date" AS "expire_date" FROM'
        )
        for sql in selects
    )
    assert sum(sql.count("'s") for sql in deletes) == 1200
    assert max(sql.count("'s") for sql in deletes) <= (connection.features.max_query_params or 1200) // 2


def test_a_listener_is_told_of_every_row_in_batches() -> None:
    add(5, age=timedelta(days=1))
    told = []

    def listen(sender: Any, instance: Session, **kwargs: Any) -> None:
        told.append(instance.session_key)

    post_delete.connect(listen, sender=Session)
    try:
        assert list(batches.delete(Session.objects.all(), by="expire_date", size=2)) == [2, 2, 1]
    finally:
        post_delete.disconnect(listen, sender=Session)
    assert sorted(told) == [f"s{n}" for n in range(5)]


def test_only_expired_sessions_go() -> None:
    now = timezone.now()
    for name, age in (("before", 1), ("at", 0), ("after", -1)):
        Session.objects.create(session_key=name, session_data="", expire_date=now - timedelta(microseconds=age))
    assert sessions.count(engine=DB, before=now) == 1
    assert sessions.clear(engine=DB, before=now) == Cleared(DB, 1, 1)
    assert set(Session.objects.values_list("session_key", flat=True)) == {"at", "after"}


def test_the_cached_engine_has_database_rows_too() -> None:
    add(3, age=timedelta(days=1))
    cached = "django.contrib.sessions.backends.cached_db"
    assert sessions.clear(engine=cached, before=timezone.now(), batch_size=2) == Cleared(cached, 3, 2)


def test_a_file_engine_removes_them_itself(tmp_path: Any, settings: Any) -> None:
    from django.contrib.sessions.backends.file import SessionStore

    settings.SESSION_FILE_PATH = str(tmp_path)
    old, new = SessionStore(), SessionStore()
    old.set_expiry(-60)
    new.set_expiry(600)
    old.create()
    new.create()
    engine = "django.contrib.sessions.backends.file"
    assert sessions.clear(engine=engine, before=timezone.now()) == Cleared(engine, None, 0)
    assert [path.name.endswith(new.session_key or "-") for path in tmp_path.iterdir()] == [True]


class SessionStore:
    """A third party's engine that cannot clear."""

    @classmethod
    def clear_expired(cls) -> None:
        raise NotImplementedError


def test_an_engine_that_cannot_is_named() -> None:
    with pytest.raises(SessionsCannotExpire) as caught:
        sessions.clear(engine=__name__, before=timezone.now())
    assert (caught.value.exit_code, __name__ in str(caught.value)) == (2, True)
    with pytest.raises(UnknownSessionEngine) as unknown:
        sessions.clear(engine="no.such.engine", before=timezone.now())
    assert str(unknown.value) == "SESSION_ENGINE = 'no.such.engine' cannot be imported: No module named 'no'."
