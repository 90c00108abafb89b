"""One sync at a time: the lock, and the second look under it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django_celery_beat.models import PeriodicTask

from maintenance import lease
from maintenance.errors import LockHeld
from maintenance.models import Lease
from maintenance.schedules import declared, sync
from maintenance.schedules.sync import Look, Wishes

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
DELETING = Wishes(prune="delete")
pytestmark = pytest.mark.django_db


def look(wishes: Wishes | None = None, **seconds: int) -> Look:
    entries: dict[str, Any] = {name: {"task": "app.add", "schedule": each} for name, each in seconds.items()}
    declaration = declared.parse(entries, zone=ZoneInfo("UTC"), tasks={"app.add"})
    return sync.look(declaration, wishes or Wishes(), using="default")


def write(seen: Look) -> Look:
    return sync.write(seen, holder="me", using="default", now=NOW)


@pytest.fixture
def other() -> Iterator[None]:
    with lease.held(sync.LOCK, holder="another", ttl=timedelta(minutes=1)):
        yield


def test_while_another_writes_nothing_is_written(other: None) -> None:
    with pytest.raises(LockHeld, match=r"^'sync_schedules' is locked by 'another' since ") as caught:
        write(look(a=5))
    assert (caught.value.exit_code, PeriodicTask.objects.exists()) == (4, False)


def test_what_is_in_sync_needs_no_lock_and_writes_nothing(django_assert_num_queries: Any) -> None:
    write(look(a=5))
    assert not Lease.objects.exists()
    with lease.held(sync.LOCK, holder="another", ttl=timedelta(minutes=1)), django_assert_num_queries(6):
        assert write(look(a=5)).plan.unchanged == 1


def test_what_another_wrote_meanwhile_is_not_written_again() -> None:
    first, second = look(a=5, b=5), look(a=5, b=5)
    assert len(write(first).plan.create) == 2
    assert (len(second.plan.create), write(second).plan.create, write(second).plan.unchanged) == (2, (), 2)


def test_only_what_was_shown_is_deleted() -> None:
    write(look(a=5, b=5))
    seen = look(DELETING, a=5)
    write(look(a=5, b=5, c=5))
    with pytest.raises(sync.Overtaken, match=r"^Somebody changed schedules meanwhile: c would be deleted too\."):
        write(seen)
    assert (PeriodicTask.objects.count(), Lease.objects.exists()) == (3, False)
    write(look(DELETING, a=5))
    assert [row.name for row in PeriodicTask.objects.all()] == ["a"]
