"""Plans written to the tables: in bulk, once, and only what is ours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from celery import current_app
from celery.schedules import crontab, solar
from django.core.checks import Warning, run_checks
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Model, When
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import make_naive
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)
from django_celery_beat.schedulers import ModelEntry

from maintenance.beat.scheduler import Scheduler
from maintenance.beat.sending import Sender
from maintenance.conf import Schedule
from maintenance.models import ManagedSchedule
from maintenance.schedules import apply, declared, listing, reset, select, spellings, stored
from maintenance.schedules.diff import diff
from maintenance.schedules.insert import insert
from maintenance.schedules.plan import Plan
from tests.celery import app

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
pytestmark = pytest.mark.django_db


def sync(
    entries: dict[str, Any],
    *,
    now: datetime = NOW,
    zone: str = "UTC",
    extras: dict[str, Schedule] | None = None,
    **how: Any,
) -> Plan:
    declaration = declared.parse(entries, zone=ZoneInfo(zone), tasks={"app.add"}, extras=extras)
    assert declaration.errors == ()
    tables = stored.read(using="default")
    chosen = diff(declaration.entries, tables, **how)
    apply.apply(chosen, stored=tables, using="default", now=now)
    return chosen


def add(**given: Any) -> dict[str, Any]:
    return {"task": "app.add", "schedule": 60, **given}


EVERY_KIND = {
    "interval": add(schedule=30.0, args=(2, 3), kwargs={"b": 1, "a": 2}),
    "crontab": add(schedule=crontab(minute=[15], hour="3"), options={"queue": "heavy", "expires": 3600}),
    "solar": add(schedule=solar("sunset", 52.52, 13.405), options={"priority": 3, "headers": {"a": 1}}),
    "clocked": add(schedule=clocked(LATER), options={"expires": LATER + timedelta(days=1)}),
    "zoned": add(schedule=crontab(hour=3, day_of_week="monday"), options={"exchange": "x", "routing_key": "y"}),
}


def test_every_kind_is_written_once_and_means_the_same_when_read() -> None:
    first, again = sync(EVERY_KIND, zone="Europe/Berlin"), sync(EVERY_KIND, zone="Europe/Berlin")
    assert ([entry.name for entry in first.create], again) == (list(EVERY_KIND), Plan(unchanged=5))
    assert {row.name: row.applied_at for row in ManagedSchedule.objects.all()} == dict.fromkeys(EVERY_KIND, NOW)
    for row in PeriodicTask.objects.all():
        row.full_clean()
        row.scheduler.full_clean()
    zones = CrontabSchedule.objects.values_list("timezone", flat=True)
    assert {str(zone) for zone in zones} == {"Europe/Berlin"}


def test_without_time_zones_the_tables_hold_naive_times_of_the_same_meaning(settings: Any) -> None:
    settings.USE_TZ = False
    start = {"interval": Schedule(start_time=LATER)}
    sync(EVERY_KIND, now=make_naive(NOW), extras=start)
    assert PeriodicTask.objects.get(name="interval").start_time == make_naive(LATER)
    assert PeriodicTask.objects.get(name="clocked").expires == make_naive(LATER + timedelta(days=1))
    assert ClockedSchedule.objects.get().clocked_time == make_naive(LATER)
    assert {row.applied_at for row in ManagedSchedule.objects.all()} == {make_naive(NOW)}
    assert sync(EVERY_KIND, now=make_naive(LATER), extras=start) == Plan(unchanged=5)


def test_beat_sends_what_was_declared() -> None:
    sync(EVERY_KIND)
    entries = {row.name: ModelEntry(row) for row in PeriodicTask.objects.all()}
    assert (entries["interval"].args, entries["interval"].kwargs) == ([2, 3], {"a": 2, "b": 1})
    assert entries["interval"].schedule.run_every == timedelta(seconds=30)
    assert entries["crontab"].options == {
        "queue": "heavy",
        "expires": 3600,
        "headers": {"periodic_task_name": "crontab"},
    }
    assert spellings.of(entries["crontab"].schedule, zone="") == spellings.of(crontab(minute=15, hour=3), zone="UTC")
    assert entries["solar"].options["priority"] == 3
    assert entries["clocked"].options["expires"] == LATER + timedelta(days=1)


def test_a_second_run_writes_nothing_and_both_read_six_times(django_assert_num_queries: Any) -> None:
    many = {f"n{number}": add(schedule=number + 1) for number in range(50)}
    sync(many)
    mark = PeriodicTasks.last_change()
    with django_assert_num_queries(6):
        sync(many, now=LATER)
    assert (PeriodicTasks.last_change(), mark) == (NOW, NOW)
    with django_assert_num_queries(6):
        sync({f"n{number}": add(schedule=number + 1) for number in range(50)})


def test_the_quick_look_finds_what_the_long_one_finds() -> None:
    """Whatever of a row or of what we remember is changed by hand is seen, and whatever the settings change."""
    extras = {"clocked": Schedule(misfire="all", ping="https://example.com/"), "zoned": Schedule(start_time=LATER)}
    sync(EVERY_KIND, extras=extras)
    declaration = declared.parse(EVERY_KIND, zone=ZoneInfo("UTC"), tasks={"app.add"}, extras=extras)
    hour = IntervalSchedule.objects.create(every=1, period="hours")
    other = Case(When(one_off=True, then=False), default=True)
    columns = {
        "task": "b",
        "args": "[9]",
        "kwargs": '{"z": 1}',
        "headers": '{"b": 1}',
        "queue": "z",
        "exchange": "z",
        "routing_key": "z",
        "priority": 9,
        "expires": NOW,
        "expire_seconds": 1,
        "one_off": other,
        "enabled": False,
        "start_time": NOW,
        "description": "z",
        "crontab": None,
        "last_run_at": NOW,
        "interval": hour,
        "name": "x",
    }
    kept = {"fingerprint": "z", "options": {"a": 1}, "misfire": "skip", "no_overlap": True, "ping": "z"}
    edits: list[tuple[type[Any], dict[str, Any]]] = [(PeriodicTask, {name: value}) for name, value in columns.items()]
    edits += [(ManagedSchedule, {name: value}) for name, value in kept.items()]
    for name in EVERY_KIND:
        for model, changes in edits:
            with transaction.atomic():
                rows = model._default_manager.filter(name=name)
                rows.update(**changes)
                tables = stored.read(using="default")
                quick = diff(declaration.entries, tables)
                assert quick == diff(declaration.entries, replace(tables, marks={}))
                transaction.set_rollback(True)
    tables = stored.read(using="default")
    for entry in declaration.entries:
        for changed in (replace(entry, args="[7]"), replace(entry, description="new"), replace(entry, start_time=NOW)):
            assert len(diff([changed], tables, only=[entry.name]).update) == 1


def test_a_bulk_change_takes_the_same_queries_for_few_and_many_and_marks_once(
    django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks: list[dict[str, Any]] = []
    really = apply.mark_changed

    def mark(**at: Any) -> None:
        marks.append(at)
        really(**at)

    monkeypatch.setattr(apply, "mark_changed", mark)
    with django_assert_max_num_queries(25):
        sync({f"n{number}": add(schedule=number + 1) for number in range(40)})
    with django_assert_max_num_queries(25):
        sync({f"n{number}": add(schedule=number + 2) for number in range(20)}, now=LATER)
    assert marks == [{"using": "default", "now": NOW}, {"using": "default", "now": LATER}]
    assert PeriodicTasks.last_change() == LATER
    assert PeriodicTask.objects.filter(enabled=True).count() == 20


@pytest.mark.parametrize("extra", [Schedule(misfire="all"), Schedule(no_overlap=True)])
def test_beat_hears_of_what_only_we_keep(extra: Schedule) -> None:
    sync({"it": add()})
    sync({"it": add()}, extras={"it": extra}, now=LATER)
    assert PeriodicTasks.last_change() == LATER
    sync({"it": add()}, extras={"it": extra}, now=LATER + timedelta(hours=1))
    assert PeriodicTasks.last_change() == LATER


def test_what_beat_knows_of_a_row_is_kept_when_it_is_updated() -> None:
    sync({"it": add(schedule=60)})
    before = PeriodicTask.objects.get(name="it")
    PeriodicTask.objects.update(last_run_at=NOW, total_run_count=7, description="by hand")
    sync({"it": add(schedule=crontab(minute="0"), args=[1], options={"queue": "q"})}, now=LATER)
    row = PeriodicTask.objects.get(name="it")
    assert (row.pk, row.last_run_at, row.total_run_count, row.description, row.date_changed) == (
        before.pk, NOW, 7, "by hand", before.date_changed,
    )  # fmt: skip
    assert (row.interval, str(row.crontab), row.args, row.queue) == (None, "0 * * * * (m/h/dM/MY/d) UTC", "[1]", "q")


def test_other_peoples_rows_are_never_touched() -> None:
    hour = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.create(name="taken", task="app.other", interval=hour)
    PeriodicTask.objects.create(name="theirs", task="app.other", interval=hour)
    before = list(PeriodicTask.objects.order_by("pk").values())
    found = sync({"taken": add()})
    assert ([conflict.name for conflict in found.conflicts], found.foreign) == (["taken"], ("theirs",))
    sync({})
    assert list(PeriodicTask.objects.order_by("pk").values()) == before
    assert not ManagedSchedule.objects.exists()


def test_a_row_that_database_scheduler_made_alike_is_adopted_as_it_is() -> None:
    ModelEntry.from_entry("it", task="app.add", schedule=crontab(hour="*/12", minute=0), args=(1,), kwargs={"a": 1})
    before = list(PeriodicTask.objects.values())
    zone = str(current_app.timezone)
    alike = {"it": add(schedule=crontab(hour="0,12", minute="0"), args=[1], kwargs={"a": 1})}
    assert [conflict.changes for conflict in sync(alike, zone=zone).conflicts] == [{}]
    assert [(update.adopted, update.changes) for update in sync(alike, zone=zone, adopt=True).update] == [(True, {})]
    assert (list(PeriodicTask.objects.values()), CrontabSchedule.objects.count()) == (before, 1)
    assert ManagedSchedule.objects.get().name == "it"
    assert sync(alike, zone=zone) == Plan(unchanged=1)


def test_what_the_table_cannot_hold_is_kept_beside_it() -> None:
    options = {"time_limit": 9, "ignore_result": True, "expires": 1.5, "queue": "q"}
    extra = Schedule(misfire="within:60", no_overlap=True, ping="https://example.com/a")
    sync({"it": add(options=options)}, extras={"it": extra})
    kept = ManagedSchedule.objects.get()
    assert (kept.options, kept.misfire, kept.no_overlap, kept.ping) == (
        {"time_limit": 9, "ignore_result": True, "expires": 1.5}, "within:60", True, "https://example.com/a",
    )  # fmt: skip
    assert sync({"it": add(options=options)}, extras={"it": extra}) == Plan(unchanged=1)
    before = list(PeriodicTask.objects.values())
    assert len(sync({"it": add(options={**options, "time_limit": 8})}, now=LATER).update) == 1
    kept.refresh_from_db()
    assert (kept.options["time_limit"], kept.misfire, kept.no_overlap, kept.ping) == (8, "once", False, "")
    assert (list(PeriodicTask.objects.values()), PeriodicTasks.last_change()) == (before, LATER)


def test_extras_with_a_column_go_there() -> None:
    extra = Schedule(enabled=False, one_off=True, start_time=LATER, description="why")
    sync({"it": add()}, extras={"it": extra})
    row = PeriodicTask.objects.get()
    assert (row.enabled, row.one_off, row.start_time, row.description) == (False, True, LATER, "why")
    sync({"it": add()})
    row.refresh_from_db()
    assert (row.enabled, row.one_off, row.start_time, row.description) == (True, False, None, "")


def test_an_edit_in_the_admin_is_kept_until_the_code_shall_win() -> None:
    sync({"it": add()})
    row = PeriodicTask.objects.get()
    row.interval, row.queue = IntervalSchedule.objects.create(every=2, period="hours"), "by hand"
    row.save()
    mark = PeriodicTasks.last_change()
    for _ in range(2):
        found = sync({"it": add(options={"priority": 1})}, now=LATER)
        assert [dict(conflict.changes) for conflict in found.conflicts] == [
            {"schedule": ("every 2h", "every 1m"), "queue": ("by hand", None)}
        ]
    row.refresh_from_db()
    assert (str(row.interval), row.queue, row.priority) == ("every 2 hours", "by hand", 1)
    assert (found.update, PeriodicTasks.last_change() > mark) == ((), True)
    sync({"it": add(options={"priority": 1})}, on_conflict="code")
    row.refresh_from_db()
    assert (str(row.interval), row.queue) == ("every 60 seconds", None)
    assert IntervalSchedule.objects.filter(period="hours").exists(), "a person made it"


def test_schedule_rows_that_only_we_used_go_and_other_peoples_stay() -> None:
    theirs = IntervalSchedule.objects.create(every=7, period="seconds")
    sync({"a": add(), "b": add(), "c": add(schedule=7), "d": add(schedule=crontab(minute=9))})
    sync({"a": add(schedule=90), "b": add(), "c": add(schedule=8), "d": add(schedule=crontab(minute=10))})
    left = sorted(IntervalSchedule.objects.values_list("every", flat=True))
    assert left == [7, 8, 60, 90], "b still uses 60, and 7 was there before us"
    assert list(CrontabSchedule.objects.values_list("minute", flat=True)) == ["10"]
    PeriodicTask.objects.create(name="theirs", task="app.add", interval=IntervalSchedule.objects.get(every=90))
    sync({}, prune="delete")
    assert sorted(IntervalSchedule.objects.values_list("every", flat=True)) == [7, 90]
    assert not CrontabSchedule.objects.exists()
    assert list(PeriodicTask.objects.values_list("name", flat=True)) == ["theirs"]
    assert not ManagedSchedule.objects.exists()
    assert theirs in IntervalSchedule.objects.all()


def test_a_schedule_that_a_person_gave_to_our_row_is_never_deleted() -> None:
    sync({"it": add()})
    mine = IntervalSchedule.objects.create(every=2, period="hours")
    PeriodicTask.objects.update(interval=mine)
    sync({}, prune="delete")
    assert list(IntervalSchedule.objects.all()) == [mine], "and the one that we made is gone"


def test_deleting_takes_the_same_queries_for_few_and_many(django_assert_max_num_queries: Any) -> None:
    for number in (5, 200):
        sync({f"n{each}": add(schedule=each + 1) for each in range(number)})
        with django_assert_max_num_queries(20):
            sync({}, prune="delete", now=LATER)
        assert (PeriodicTask.objects.count(), IntervalSchedule.objects.count()) == (0, 0)
        assert PeriodicTasks.last_change() == LATER


def test_a_week_long_interval_fires_on_day_seven_although_the_host_syncs_daily() -> None:
    week = {"it": add(schedule=timedelta(days=7))}
    with time_machine.travel(NOW, tick=False):
        sync(week)
    for day in range(1, 8):
        with time_machine.travel(NOW + timedelta(days=day), tick=False):
            assert ModelEntry(PeriodicTask.objects.get()).is_due().is_due is (day == 7)
            assert sync(week, now=NOW + timedelta(days=day)) == Plan(unchanged=1)
            sync({**week, "other": add(schedule=day)}, now=NOW + timedelta(days=day))
            sync(week, now=NOW + timedelta(days=day), prune="delete")


def test_a_row_whose_schedule_is_gone_is_a_conflict_and_nothing_more() -> None:
    sync({"it": add()})
    PeriodicTask.objects.update(interval=None)
    assert [dict(each.changes) for each in sync({"it": add()}).conflicts] == [
        {"schedule": ("unreadable row without a schedule", "every 1m")}
    ]
    sync({"it": add()}, on_conflict="code")
    assert str(PeriodicTask.objects.get().interval) == "every 60 seconds"


def test_schedule_rows_are_shared() -> None:
    sync({"a": add(), "b": add(), "c": add(schedule=crontab()), "d": add(schedule=crontab(minute="*/1"))})
    assert (IntervalSchedule.objects.count(), CrontabSchedule.objects.count()) == (1, 1)


def test_leaving_and_coming_back() -> None:
    sync({"it": add(), "stays": add()})
    assert [row.entry.name for row in sync({"stays": add()}).disable] == ["it"]
    assert not PeriodicTask.objects.get(name="it").enabled
    assert sync({"stays": add()}) == Plan(unchanged=1)
    assert [update.entry.name for update in sync({"it": add(), "stays": add()}).update] == ["it"]
    assert PeriodicTask.objects.get(name="it").enabled


def test_a_person_who_disabled_a_row_is_obeyed_whatever_changes() -> None:
    sync({"it": add()})
    PeriodicTask.objects.update(enabled=False)
    for entries in ({"it": add(args=[1])}, {}, {"it": add(args=[1])}):
        sync(entries)
        assert not PeriodicTask.objects.get(name="it").enabled


def beats(at: datetime) -> list[str]:
    """Run one beat at a moment, and return what it sent; the test's clock goes on from then."""
    sent: list[str] = []
    with time_machine.travel(at, tick=False), pytest.MonkeyPatch.context() as patched:
        patched.setattr(Sender, "open", lambda self: None)
        patched.setattr(Sender, "send", lambda self, record: sent.append(record.name))
        beat = Scheduler(app=app, lazy=True)
        beat.tick()
        beat.close()
    return sent


@pytest.mark.parametrize("schedule", [Schedule(one_off=True), Schedule()])
def test_what_beat_ended_is_done_until_the_settings_change_it(schedule: Schedule) -> None:
    first = add(schedule=60) if schedule.one_off else add(schedule=clocked(NOW))
    sync({"it": first}, extras={"it": schedule})
    PeriodicTask.objects.update(date_changed=NOW - timedelta(minutes=1))
    assert beats(NOW) == ["it"]
    for now in (NOW, LATER):
        assert sync({"it": first}, extras={"it": schedule}, now=now) == Plan(unchanged=1)
        assert (PeriodicTask.objects.get().enabled, beats(LATER)) == (False, [])
    again = add(schedule=30) if schedule.one_off else add(schedule=clocked(LATER))
    assert len(sync({"it": again}, extras={"it": schedule}, now=LATER).update) == 1
    assert PeriodicTask.objects.get().enabled
    assert beats(LATER + timedelta(hours=1)) == ["it"]
    assert not PeriodicTask.objects.get().enabled


def test_what_expired_runs_again_when_it_may_longer() -> None:
    sync({"it": add(options={"expires": NOW})})
    PeriodicTask.objects.update(date_changed=NOW - timedelta(hours=1))
    assert (beats(NOW), PeriodicTask.objects.get().enabled) == ([], False)
    assert sync({"it": add(options={"expires": NOW})}) == Plan(unchanged=1)
    sync({"it": add(options={"expires": LATER})})
    assert (beats(NOW), PeriodicTask.objects.get().enabled) == (["it"], True)


def test_clocked_back_to_an_interval_is_no_longer_one_off() -> None:
    sync({"it": add(schedule=clocked(LATER))})
    assert (PeriodicTask.objects.get().one_off, ClockedSchedule.objects.get().clocked_time) == (True, LATER)
    sync({"it": add()})
    assert not PeriodicTask.objects.get().one_off


def test_rows_that_nobody_can_read_do_not_stop_the_others() -> None:
    bad = CrontabSchedule.objects.create(minute="[0, 30]")
    odd = IntervalSchedule.objects.create(every=5, period="fortnights")
    PeriodicTask.objects.create(name="bad", task="app.add", crontab=bad, args="not json")
    PeriodicTask.objects.create(name="odd", task="app.add", interval=odd)
    for event, latitude in (("moonrise", 0), ("sunset", 91)):
        where = SolarSchedule.objects.create(event=event, latitude=latitude, longitude=0)
        PeriodicTask.objects.create(name=event, task="app.add", solar=where)
    found = sync({"bad": add(), "good": add()})
    assert [entry.name for entry in found.create] == ["good"]
    assert [conflict.changes for conflict in found.conflicts] == [
        {"schedule": ("unreadable crontab [0, 30] * * * *", "every 1m"), "args": ("not json", "[]")}
    ]
    rows = stored.read(using="default").rows
    assert str(rows["moonrise"].entry.timing) == "unreadable solar moonrise at 0.000000, 0.000000"
    assert str(rows["sunset"].entry.timing) == "unreadable solar sunset at 91.000000, 0.000000"
    found_runs = {each.entry.name: each.next_runs for each in listing.schedules(now=NOW, using="default")}
    assert {name for name, runs in found_runs.items() if runs} == {"good"}


def test_our_rows_that_somebody_broke_are_named_and_left_until_the_code_shall_win() -> None:
    wanted = {"args": add(args=[1]), "crontab": add(schedule=crontab(minute=5)), "good": add()}
    sync(wanted)
    PeriodicTask.objects.filter(name="args").update(args="not json")
    CrontabSchedule.objects.update(minute="never")
    before = list(PeriodicTask.objects.order_by("pk").values())
    found = sync(wanted)
    assert (found.unchanged, found.pending) == (1, False)
    assert [(conflict.name, conflict.kind, conflict.changes) for conflict in found.conflicts] == [
        ("args", "edited", {"args": ("not json", "[1]")}),
        ("crontab", "edited", {"schedule": ("unreadable crontab never * * * *", "crontab 5 * * * * UTC")}),
    ]
    assert list(PeriodicTask.objects.order_by("pk").values()) == before
    assert len(sync(wanted, on_conflict="code").update) == 2
    assert sync(wanted) == Plan(unchanged=3)


def test_solar_rows_are_found_again() -> None:
    SolarSchedule.objects.create(event="sunset", latitude="52.52", longitude="13.405")
    sync({"it": add(schedule=solar("sunset", 52.52, 13.405))})
    assert SolarSchedule.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_with_an_error_nothing_is_written() -> None:
    sync({"it": add()})
    tables = stored.read(using="default")
    declaration = declared.parse({"new": add(schedule=5), "it": add(args=[1])}, zone=ZoneInfo("UTC"), tasks={"app.add"})
    chosen = diff(declaration.entries, tables)
    PeriodicTask.objects.create(name="new", task="a", interval=IntervalSchedule.objects.get())  # somebody was quicker
    before = list(PeriodicTask.objects.order_by("pk").values())
    with pytest.raises(IntegrityError), transaction.atomic():
        apply.apply(chosen, stored=tables, using="default", now=LATER)
    assert (list(PeriodicTask.objects.order_by("pk").values()), IntervalSchedule.objects.count()) == (before, 1)
    assert PeriodicTasks.last_change() != LATER


def test_reset_clears_every_last_run_with_one_mark() -> None:
    sync({"a": add(), "b": add(), "c": add()})
    PeriodicTask.objects.exclude(name="c").update(last_run_at=NOW)
    resets = reset.plan(now=NOW, using="default")
    assert (resets.names, resets.selected) == (("a", "b"), 3)
    assert reset.apply(resets, holder="test", using="default", now=LATER) == 2
    assert not PeriodicTask.objects.filter(last_run_at__isnull=False).exists()
    assert PeriodicTasks.last_change() == LATER


def test_reset_only_the_named_and_nothing_without_need() -> None:
    sync({"a": add(), "b": add()})
    PeriodicTask.objects.update(last_run_at=NOW)
    reset.apply(reset.plan(only=["a"], now=NOW, using="default"), holder="test", using="default", now=LATER)
    assert dict(PeriodicTask.objects.values_list("name", "last_run_at")) == {"a": None, "b": NOW}
    assert reset.apply(reset.plan(only=["a"], now=NOW, using="default"), holder="test", using="default", now=NOW) == 0
    assert PeriodicTasks.last_change() == LATER
    with pytest.raises(select.UnknownSchedule, match=r"No schedule is named 'aa'. Did you mean 'a'\?"):
        reset.plan(only=["aa"], now=NOW, using="default")


def test_crontabs_of_ours_move_to_the_zone_that_is_declared_and_sync_agrees() -> None:
    nightly = {"it": add(schedule=crontab(minute=0, hour=3)), "every": add()}
    sync(nightly, zone="America/New_York")
    old = CrontabSchedule.objects.get()
    theirs = CrontabSchedule.objects.create(minute="5", hour="3", timezone=ZoneInfo("America/New_York"))
    PeriodicTask.objects.create(name="theirs", task="app.add", crontab=theirs)
    PeriodicTask.objects.filter(name="it").update(last_run_at=NOW)
    resets = reset.plan(zones={"it": "Europe/Berlin", "theirs": "Europe/Berlin"}, now=NOW, using="default")
    assert (resets.names, resets.selected) == (("it",), 3)
    assert resets.moves == (
        reset.Move(
            "it",
            ("America/New_York", "Europe/Berlin"),
            (datetime(2030, 1, 2, 8, tzinfo=UTC), datetime(2030, 1, 2, 2, tzinfo=UTC)),
        ),
    )
    reset.apply(resets, holder="test", using="default", now=LATER)
    row = PeriodicTask.objects.get(name="it")
    assert (str(row.crontab), row.last_run_at) == ("0 3 * * * (m/h/dM/MY/d) Europe/Berlin", None)
    assert not CrontabSchedule.objects.filter(pk=old.pk).exists(), "only we used it"
    assert PeriodicTask.objects.get(name="theirs").crontab == theirs
    assert PeriodicTasks.last_change() == LATER
    assert sync(nightly, zone="Europe/Berlin").conflicts == ()
    assert sync(nightly, zone="Europe/Berlin") == Plan(unchanged=2, foreign=("theirs",))


def test_with_a_zone_to_go_to_the_selected_move_whoever_made_them() -> None:
    sync({"it": add(schedule=crontab(minute=0, hour=3))}, zone="America/New_York")
    for name, zone in (("theirs", "America/New_York"), ("other", "Asia/Tokyo")):
        row = CrontabSchedule.objects.create(minute="5", hour="3", timezone=ZoneInfo(zone))
        PeriodicTask.objects.create(name=name, task="app.add", crontab=row, last_run_at=NOW)
    resets = reset.plan(leave="America/New_York", to="UTC", now=NOW, using="default")
    assert ([move.name for move in resets.moves], resets.names, resets.selected) == (["it", "theirs"], ("theirs",), 2)
    reset.apply(resets, holder="test", using="default", now=LATER)
    zones = {row.name: (str(row.crontab.timezone), row.last_run_at) for row in PeriodicTask.objects.all()}
    assert zones == {"it": ("UTC", None), "theirs": ("UTC", None), "other": ("Asia/Tokyo", NOW)}
    assert reset.plan(leave="America/New_York", to="UTC", now=NOW, using="default").moves == ()


def test_a_check_of_the_database_tells_of_crontabs_in_another_zone() -> None:
    app.conf.beat_schedule = {"it": {"task": "celery.accumulate", "schedule": crontab(hour=3)}}
    try:
        call_command("sync_schedules", verbosity=0)
        assert run_checks(tags=["maintenance"], databases=["default"]) == []
        app.conf.update(timezone="Asia/Tokyo")
        del app.timezone
        assert run_checks(tags=["maintenance"]) == []
        assert run_checks(tags=["maintenance"], databases=["default"]) == [
            Warning(
                "1 schedule is in another time zone than the settings', 'it' for one.",
                hint="Stop beat, run `manage.py reset_schedules`, start beat.",
                id="maintenance.W004",
            )
        ]
        call_command("reset_schedules", interactive=False, verbosity=0)
        assert run_checks(tags=["maintenance"], databases=["default"]) == []
    finally:
        app.conf.update(timezone=None, beat_schedule={})
        del app.timezone


def test_two_thousand_rows_are_updated_in_few_queries(django_assert_max_num_queries: Any) -> None:
    """At most the rows by the backend's batch size, and a constant."""
    first = {f"n{number}": add(schedule=number % 50 + 1, args=[number]) for number in range(2000)}
    second = {f"n{number}": add(schedule=number % 50 + 101, args=[-number]) for number in range(2000)}
    sync(first)
    with django_assert_max_num_queries(2000 * 12 // 250 + 40):
        assert len(sync(second, now=LATER).update) == 2000
    with django_assert_max_num_queries(12):
        assert sync(second) == Plan(unchanged=2000)
    assert IntervalSchedule.objects.count() == 50


TASKS = [(f"n{number}", "%s", f"[{number}]", LATER if number % 2 else None, number % 3 == 0) for number in range(300)]
MANAGED: list[tuple[Any, ...]] = [(f"n{number}", "", NOW, {"é": [number, None, "%s"]}, {}) for number in range(300)]


@pytest.mark.parametrize(
    ("model", "names", "rows"),
    [
        (PeriodicTask, ("name", "task", "args", "expires", "enabled"), TASKS),
        (ManagedSchedule, ("name", "fingerprint", "applied_at", "applied", "options"), MANAGED),
    ],
)
@time_machine.travel(NOW, tick=False)
def test_new_rows_are_what_djangos_own_bulk_create_writes(
    model: type[Model], names: tuple[str, ...], rows: list[tuple[Any, ...]], django_assert_max_num_queries: Any
) -> None:
    """Every column, those that nobody names too, and in as many statements."""

    def written() -> list[dict[str, Any]]:
        return [{**row, "id": None} for row in model._default_manager.order_by("pk").values()]

    with CaptureQueriesContext(connection) as its_own:
        model._default_manager.bulk_create([model(**dict(zip(names, row, strict=True))) for row in rows])
    expected = written()
    model._default_manager.all().delete()
    with django_assert_max_num_queries(len(its_own)):
        insert(model, names, rows, using="default")
    assert written() == expected
    assert len(expected) == 300
    with django_assert_max_num_queries(0):
        insert(model, names, [], using="default")
