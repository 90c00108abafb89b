"""Misfire policies: read, and written in one way."""

from datetime import timedelta

import pytest

from maintenance import misfire
from maintenance.misfire import Policy


@pytest.mark.parametrize(
    ("text", "policy", "written"),
    [
        ("once", Policy("once"), "once"),
        ("all", Policy("all"), "all"),
        ("all:3", Policy("all", limit=3), "all:3"),
        ("within:90", Policy("within", window=timedelta(seconds=90)), "within:90"),
        ("within:5m", Policy("within", window=timedelta(minutes=5)), "within:300"),
        ("within:0.5", Policy("within", window=timedelta(seconds=0.5)), "within:0.5"),
        (" within:30d ", Policy("within", window=timedelta(days=30)), "within:2592000"),
        ("skip", Policy("skip"), "skip"),
    ],
)
def test_policies(text: str, policy: Policy, written: str) -> None:
    assert (misfire.parse(text), str(policy), misfire.parse(written)) == (policy, written, policy)


@pytest.mark.parametrize("text", ["", "twice", "all:0", "all:x", "within", "within:", "within:0", "once:1", "skip:2"])
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        misfire.parse(text)
