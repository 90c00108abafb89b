"""Leases: one holder a name, decided by the database's clock."""

from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from maintenance import lease
from maintenance.errors import AlreadyDone, LockHeld
from maintenance.models import Lease

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def expire(name: str) -> None:
    Lease.objects.filter(name=name).update(expires=F("since") - MINUTE)


def test_only_one_holder_gets_a_lease() -> None:
    assert lease.acquire("beat", holder="a", ttl=MINUTE)
    assert not lease.acquire("beat", holder="b", ttl=MINUTE)
    assert lease.acquire("other", holder="b", ttl=MINUTE)


def test_the_same_holder_takes_its_own_lease_over() -> None:
    assert lease.acquire("backup", holder="task-1", ttl=MINUTE)
    assert lease.acquire("backup", holder="task-1", ttl=2 * MINUTE)
    found = lease.find("backup")
    assert found is not None
    assert found.expires - found.since == 2 * MINUTE


def test_an_expired_lease_is_free() -> None:
    assert lease.acquire("beat", holder="a", ttl=MINUTE)
    expire("beat")
    assert lease.find("beat") is None
    assert not lease.renew("beat", holder="a", ttl=MINUTE), "what has expired may already be somebody else's"
    assert lease.acquire("beat", holder="b", ttl=MINUTE)
    assert not lease.release("beat", holder="a")
    found = lease.find("beat")
    assert found is not None
    assert found.holder == "b"


def test_renewing_extends_only_ones_own() -> None:
    assert lease.acquire("beat", holder="a", ttl=MINUTE)
    before = lease.find("beat")
    assert not lease.renew("beat", holder="b", ttl=MINUTE)
    assert lease.renew("beat", holder="a", ttl=3 * MINUTE)
    after = lease.find("beat")
    assert before is not None
    assert after is not None
    assert (after.since, after.expires > before.expires) == (before.since, True)


def test_a_released_lease_is_free_at_once() -> None:
    assert lease.acquire("beat", holder="a", ttl=MINUTE)
    assert lease.release("beat", holder="a")
    assert lease.acquire("beat", holder="b", ttl=MINUTE)


def test_a_held_block_refuses_the_second_and_names_the_first() -> None:
    with lease.held("backup:default", holder="host-1", ttl=MINUTE, reason="nightly"):
        found = lease.find("backup:default")
        assert found is not None
        with pytest.raises(LockHeld) as caught, lease.held("backup:default", holder="host-2", ttl=MINUTE):
            pytest.fail("the block must not run")
    assert str(caught.value) == (
        f"'backup:default' is locked by 'host-1' since '{found.since.isoformat(timespec='seconds')}'. "
        f"Wait until it is done; the lock expires by itself at {found.expires.isoformat(timespec='seconds')}."
    ).replace("since '", "since ").replace("'. Wait", ". Wait")
    assert caught.value.exit_code == 4
    assert lease.find("backup:default") is None


def test_a_failing_block_gives_its_lease_up() -> None:
    with pytest.raises(ZeroDivisionError), lease.held("backup", holder="a", ttl=MINUTE):
        1 / 0  # noqa: B018 - it shall raise
    assert lease.find("backup") is None


def once(holder: str, *, takeover: bool = False) -> AbstractContextManager[None]:
    return lease.held_once("backup", holder=holder, ttl=MINUTE, takeover=takeover)


@pytest.mark.parametrize("takeover", [False, True])
def test_what_is_done_is_not_done_again_by_the_same_holder(takeover: bool) -> None:
    with once("task-1"):
        assert lease.finished("backup", holder="task-1") is None
    done = lease.finished("backup", holder="task-1")
    assert done is not None
    with pytest.raises(AlreadyDone) as caught, once("task-1", takeover=takeover):
        pytest.fail("the block must not run")
    assert (str(caught.value), caught.value.exit_code) == (
        f"'backup' was already done by 'task-1', at {done.isoformat(timespec='seconds')}.",
        4,
    )
    assert lease.find("backup") is None, "it is free for others"


def test_another_holder_makes_a_finished_one_forgotten() -> None:
    for holder in ("task-1", "task-2", "task-1"):
        with once(holder):
            assert lease.finished("backup", holder=holder) is None
    assert list(Lease.objects.values_list("name", "holder", "generation")) == [("backup", "task-1", 3)]


def test_what_still_goes_on_is_taken_over_only_when_its_run_is_known_to_be_dead() -> None:
    assert lease.acquire_once("backup", holder="task-1", ttl=MINUTE, takeover=False)
    with pytest.raises(LockHeld) as caught, once("task-1"):
        pytest.fail("the block must not run")
    assert caught.value.facts["holder"] == "task-1"
    with once("task-1", takeover=True):
        pass
    assert lease.finished("backup", holder="task-1") is not None


def test_what_was_killed_runs_again_once_its_lease_is_over() -> None:
    assert lease.acquire_once("backup", holder="task-1", ttl=MINUTE, takeover=False)
    expire("backup")
    with once("task-1"):
        pass
    assert lease.finished("backup", holder="task-1") is not None


def test_what_failed_runs_again() -> None:
    with pytest.raises(ZeroDivisionError), once("task-1"):
        1 / 0  # noqa: B018 - it shall raise
    with once("task-1"):
        pass
    assert lease.finished("backup", holder="task-1") is not None


def test_patience_lasts_as_long_as_its_transaction() -> None:
    def timeout() -> int:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            return int(cursor.fetchone()[0])

    before = timeout()
    with lease.patient(1.5):
        assert timeout() == 1500
    assert timeout() == before != 1500
