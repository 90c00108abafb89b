"""Leases: one holder a name, decided by the database's clock."""

from datetime import timedelta

import pytest
from django.db.models import F

from maintenance import lease
from maintenance.errors import LockHeld
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
        1 / 0  # noqa: B018
    assert lease.find("backup") is None
