"""Bounded deletes: how many statements, how many rows a transaction, and who is told."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from maintenance import batches, sessions
from maintenance.batches import Pace
from maintenance.sessions import Cleared, SessionsCannotExpire, UnknownSessionEngine

pytestmark = pytest.mark.django_db
DB = "django.contrib.sessions.backends.db"


def add(count: int, *, age: timedelta, name: str = "s") -> None:
    expired = timezone.now() - age
    Session.objects.bulk_create(
        Session(session_key=f"{name}{n}", session_data="", expire_date=expired) for n in range(count)
    )


def delete(rows: QuerySet[Any], *, size: int) -> Iterator[int]:
    return (batch.total() for batch in batches.walk(rows, by="expire_date", pace=Pace(size=size)))


def test_each_batch_is_bounded_and_oldest_goes_first() -> None:
    add(3, age=timedelta(days=1), name="young")
    add(4, age=timedelta(days=2), name="old")
    steps = delete(Session.objects.all(), size=4)
    assert next(steps) == 4
    assert set(Session.objects.values_list("session_key", flat=True)) == {"young0", "young1", "young2"}
    assert list(steps) == [3]


def test_no_row_is_loaded_and_no_statement_has_too_many_parameters() -> None:
    add(1200, age=timedelta(days=1))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert list(delete(Session.objects.filter(session_data=""), size=1000)) == [1000, 200]
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
        assert list(delete(Session.objects.all(), size=2)) == [2, 2, 1]
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
    assert sessions.clear(engine=cached, before=timezone.now(), pace=Pace(size=2)) == Cleared(cached, 3, 2)


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


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_batches_are_fitted_to_a_tenth_of_a_second() -> None:
    pace = batches.Pace(clock=Clock())
    sizes = []
    for deleted, took in ((5000, 0.05), (10_000, 0.2), (5000, 0.001), (20_000, 2.0), (10, 0.001), (5000, 0.1)):
        sizes.append(pace.next_size())
        pace.after_batch(deleted=deleted, took=took)
    # Half of the time: twice the rows. At most four times as many, at least a quarter; few rows say nothing.
    assert [*sizes, pace.next_size()] == [5000, 10_000, 5000, 20_000, 5000, 5000, 5000]
    for _ in range(5):
        pace.after_batch(deleted=pace.next_size(), took=60)
    assert pace.next_size() == batches.LEAST
    small = batches.Pace(size=100, clock=Clock())
    small.after_batch(deleted=100, took=0.001)
    assert small.next_size() == 100


def test_what_a_batch_does_afterwards_counts_as_rest() -> None:
    clock = Clock()
    pace = batches.Pace(rest=0.05, clock=clock, sleep=clock.sleep)
    pace.before_batch()
    assert clock.slept == []
    pace.after_batch(deleted=1, took=0.1)
    clock.now += 0.03
    pace.before_batch()
    assert clock.slept == [pytest.approx(0.02)]
    pace.after_batch(deleted=1, took=0.1)
    clock.now += 0.07
    pace.before_batch()
    assert len(clock.slept) == 1


def test_time_runs_out_between_batches_only() -> None:
    clock = Clock()
    pace = batches.Pace(seconds=240, clock=clock)
    clock.now = 1000
    pace.before_batch()  # the first is always made, so that every run gets on
    pace.after_batch(deleted=7, took=1)
    with pytest.raises(batches.OutOfTime) as caught:
        pace.before_batch()
    assert (caught.value.message, caught.value.exit_code) == ("Stopped after 240s with rows left: 7 deleted.", 75)
    pace = batches.Pace(seconds=240, clock=Clock())
    pace.after_batch(deleted=7, took=1)
    pace.before_batch()


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_by_ranges_everything_before_the_limit_goes_ties_too(size: int) -> None:
    now = timezone.now()
    for day, number in ((5, 3), (4, 1), (3, 7), (1, 2)):
        add(number, age=timedelta(days=day), name=f"{day}-")
    limit = Session.objects.filter(session_key__startswith="1-").earliest("expire_date").expire_date
    steps = list(batches.walk(Session.objects.all(), by="expire_date", pace=batches.Pace(size=size), until=limit))
    assert sum(step.total() for step in steps) == 11
    assert max(step.total() for step in steps) <= size
    assert Session.objects.filter(expire_date__lt=now).count() == 2


def test_what_does_not_match_is_passed_over_once() -> None:
    for day in range(9, 0, -1):
        add(1, age=timedelta(days=day), name=f"{'keep' if day % 3 else 'go'}-{day}-")
    rows = Session.objects.filter(session_key__startswith="go")
    deleted = list(batches.walk(rows, by="expire_date", pace=batches.Pace(size=1), until=timezone.now()))
    assert sum(step.total() for step in deleted) == 3
    assert Session.objects.count() == 6


def test_spared_rows_of_one_time_do_not_stop_it() -> None:
    add(20, age=timedelta(days=2))
    spared = {f"s{number}" for number in range(10)}
    steps = batches.walk(
        Session.objects.all(), by="expire_date", pace=batches.Pace(size=3), spare=lambda row: row[0] in spared
    )
    assert sum(step.total() for step in steps) == 10
    assert set(Session.objects.values_list("session_key", flat=True)) == spared


def test_neighbours_are_deleted_as_ranges_others_as_a_list() -> None:
    conditions = list(batches._conditions([1, 2, 3, 5, 7, 8], 100))
    assert [str(condition) for condition in conditions] == [
        "(OR: ('pk__range', (1, 3)), ('pk__range', (7, 8)))",
        "(AND: ('pk__in', [5]))",
    ]
    assert [str(each) for each in batches._conditions(["a", "b"], 1)] == [
        "(AND: ('pk__in', ['a']))",
        "(AND: ('pk__in', ['b']))",
    ]
