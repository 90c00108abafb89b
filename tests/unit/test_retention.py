"""Retention: which backups go."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.backups.manifest import Manifest, data_name
from maintenance.backups.retention import surplus

START = datetime(2026, 1, 1, tzinfo=UTC)


def backup(minute: int, alias: str = "default") -> Manifest:
    started = START + timedelta(minutes=minute)
    id_ = f"{started:%Y%m%dT%H%M%SZ}-{minute:08x}"
    return Manifest(
        id=id_,
        alias=alias,
        engine="sqlite",
        file=data_name(id_, alias, "sqlite"),
        started=started,
        finished=started,
        plain_bytes=1,
        plain_sha256="0" * 64,
        stored_bytes=1,
        stored_sha256="0" * 64,
        tables={},
        versions={},
    )


def test_the_newest_are_kept_and_the_older_go() -> None:
    one, two, three = backup(1), backup(2), backup(3)
    assert surplus([three, one, two], keep_last=3) == ()
    assert surplus([three, one, two], keep_last=2) == (one,)
    assert surplus([three, one, two], keep_last=1) == (one, two)


def test_none_keeps_everything() -> None:
    assert surplus([backup(minute) for minute in range(100)], keep_last=None) == ()


def test_one_that_is_coming_takes_a_place() -> None:
    one, two = backup(1), backup(2)
    assert surplus([one, two], keep_last=3, coming=1) == ()
    assert surplus([one, two], keep_last=2, coming=1) == (one,)
    assert surplus([], keep_last=1, coming=1) == ()


def test_a_database_whose_name_begins_alike_is_another_one() -> None:
    archive = [backup(minute, "default_archive") for minute in range(5)]
    ours = [backup(minute, "default") for minute in range(10, 12)]
    assert surplus([*archive, *ours], keep_last=1) == (*archive[:4], ours[0])


def test_keeping_none_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        surplus([backup(1)], keep_last=0)


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(["default", "default_archive", "x"])), unique=True),
    st.integers(1, 20),
)
def test_each_database_keeps_its_newest_and_a_second_run_finds_nothing(
    made: list[tuple[int, str]], keep_last: int
) -> None:
    backups = [backup(minute, alias) for minute, alias in made]
    gone = surplus(backups, keep_last=keep_last)
    left = [one for one in backups if one not in gone]
    for alias in {one.alias for one in backups}:
        ours = sorted((one for one in backups if one.alias == alias), key=lambda one: one.started)
        assert [one for one in ours if one in left] == ours[-keep_last:]
    assert surplus(left, keep_last=keep_last) == ()
