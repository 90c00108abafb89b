"""Retention: restic's rules, what is never removed, and why each backup stays or goes."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.backups.manifest import Manifest
from maintenance.backups.names import data_name
from maintenance.backups.retention import Rules, decide, surplus
from maintenance.backups.sidecars import Entry, Pinned, Verified

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


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


def entry(
    started: datetime,
    *,
    alias: str = "default",
    engine: str = "sqlite",
    verified: bool | None = None,
    level: str = "restore",
    pinned: bool = False,
    tag: str = "",
    size: int = 1,
) -> Entry:
    utc = started.astimezone(UTC)
    id_ = f"{utc:%Y%m%dT%H%M%SZ}-{hash((alias, engine, utc)) & 0xFFFFFFFF:08x}"
    manifest = Manifest(
        id=id_,
        alias=alias,
        engine=engine,
        file=data_name(id_, alias, engine),
        started=started,
        finished=started,
        plain_bytes=size,
        plain_sha256="0" * 64,
        stored_bytes=size,
        stored_sha256="0" * 64,
        tables={},
        versions={},
        tag=tag,
    )
    return Entry(
        manifest,
        None if verified is None else Verified(level, started, verified),
        Pinned(started) if pinned else None,
    )


def days(*ages: float, **how: object) -> list[Entry]:
    return [entry(NOW - timedelta(days=age), **how) for age in ages]  # type: ignore[arg-type]


def kept(entries: Iterable[Entry], rules: Rules) -> list[Entry]:
    return [decision.entry for decision in decide(entries, rules) if not decision.goes]


def ages(entries: Iterable[Entry]) -> list[float]:
    return sorted((NOW - one.manifest.started) / timedelta(days=1) for one in entries)


def why(entries: Iterable[Entry], rules: Rules) -> dict[float, str]:
    """Return by age in days why each stays or goes, youngest first."""
    return {
        (NOW - each.entry.manifest.started) / timedelta(days=1): ", ".join(each.reasons) or f"- {each.removal}"
        for each in reversed(decide(entries, rules))
    }


def test_without_rules_everything_stays() -> None:
    entries = [*days(0, 1, 400), *days(2, verified=False)]
    assert why(entries, Rules(minimum=5)) == {0: "no rules", 1: "no rules", 2: "no rules", 400: "no rules"}


def test_each_rule_tells_what_it_keeps() -> None:
    entries = days(0, 0.01, 1, 2, 30, 400, 401)
    assert why(entries, Rules(last=1, daily=3, yearly=9)) == {
        0: "last, daily, yearly, newest",
        0.01: "- no rule keeps it",
        1: "daily",
        2: "daily",
        30: "- no rule keeps it",
        400: "yearly",
        401: "oldest yearly",
    }


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(last=1), [0]),
        (Rules(last=3), [0, 1 / 24, 2 / 24]),
        (Rules(hourly=2), [0, 1 / 24]),
        (Rules(daily=2), [0, 1]),
        (Rules(weekly=2), [0, 7]),
        (Rules(monthly=2), [0, 22]),
        (Rules(yearly=2), [0, 326]),
        (Rules(within=timedelta(hours=2)), [0, 1 / 24]),
        (Rules(within=timedelta(hours=2, seconds=1)), [0, 1 / 24, 2 / 24]),
        (Rules(last=1, daily=2), [0, 1]),
    ],
)
def test_the_newest_of_each_calendar_unit(rules: Rules, expected: list[float]) -> None:
    # NOW is a Sunday: its ISO week began six days before.
    entries = days(0, 1 / 24, 2 / 24, 1, 1.1, 6, 7, 8, 21, 22, 100, 325, 326, 500)
    assert ages(kept(entries, rules)) == pytest.approx(expected)


def test_calendar_units_are_utc_whatever_offset_a_manifest_has() -> None:
    late = entry(datetime.fromisoformat("2026-11-22T01:30:00+02:00"))  # 23:30 of the 21st in UTC
    noon = entry(datetime.fromisoformat("2026-11-21T12:00:00+00:00"))
    assert kept([late, noon], Rules(daily=1, minimum=1)) == [late]
    assert why([late, noon], Rules(daily=1))[1.0] == "- no rule keeps it"


def test_iso_weeks_hold_the_turn_of_the_year_together() -> None:
    friday, saturday = entry(datetime(2027, 1, 1, tzinfo=UTC)), entry(datetime(2026, 12, 31, tzinfo=UTC))
    before = entry(datetime(2026, 12, 27, tzinfo=UTC))
    assert kept([friday, saturday, before], Rules(weekly=2)) == [before, friday]


def test_unverified_ones_never_push_a_verified_one_out() -> None:
    entries = [*days(0, 1, 2), *days(3, 4, 5, verified=True)]
    assert why(entries, Rules(last=2)) == {
        0: "last, newest",
        1: "last",
        2: "- no rule keeps it",
        3: "last, newest verified, newest restored",
        4: "last",
        5: "- no rule keeps it",
    }


def test_failed_ones_count_for_nothing_and_go() -> None:
    entries = [*days(0, 2, verified=False), *days(1, 3, 4)]
    assert why(entries, Rules(last=2)) == {
        0: "newest",
        1: "last, newest",
        2: "- failed verification",
        3: "last",
        4: "- no rule keeps it",
    }


def test_where_all_have_failed_the_rules_are_followed_by_them() -> None:
    assert ages(kept(days(0, 1, 2, verified=False), Rules(last=2))) == [0, 1]


def test_the_newest_restored_stays_beside_the_newest_verified() -> None:
    entries = [*days(0), *days(1, verified=True, level="hash"), *days(9, verified=True), *days(10, verified=True)]
    assert why(entries, Rules(last=1)) == {
        0: "last, newest",
        1: "last, newest verified",
        9: "newest restored",
        10: "- no rule keeps it",
    }


def test_pinned_ones_and_tags_stay() -> None:
    entries = [*days(0), *days(5, pinned=True), *days(6, tag="release"), *days(7, tag="other")]
    assert why(entries, Rules(last=1, tags=("release",))) == {
        0: "last, newest",
        5: "pinned",
        6: "tag release",
        7: "- no rule keeps it",
    }


def test_the_minimum_stays_whatever_the_rules_say() -> None:
    assert ages(kept(days(0, 1, 2, 3), Rules(last=1, minimum=3))) == [0, 1, 2]
    assert ages(kept(days(0, 1, 2, 3), Rules(max_size=1, minimum=3))) == [0, 1, 2]
    assert ages(kept([*days(0, 1), *days(2, 3, 4, verified=True)], Rules(last=1, minimum=2))) == [0, 1, 2, 3]


def test_the_oldest_go_beyond_the_size() -> None:
    entries = days(0, 1, 2, 3, size=100)
    assert why(entries, Rules(max_size=300)) == {
        0: "fits max-size, newest",
        1: "fits max-size",
        2: "fits max-size",
        3: "- beyond max-size",
    }
    assert ages(kept(entries, Rules(max_size=299))) == [0, 1]
    assert ages(kept(entries, Rules(last=3, max_size=250))) == [0, 1]
    pinned = days(9, size=250, pinned=True)
    assert ages(kept([*entries, *pinned], Rules(max_size=400))) == [0, 9]
    assert ages(kept([*entries, *pinned], Rules(max_size=1))) == [0, 9]


def test_default_and_default_archive_are_two_databases() -> None:
    ours, others = days(10, 11, 12), days(0, 1, 2, alias="default_archive")
    moved = days(20, 21, engine="postgresql")
    assert ages(kept([*others, *ours, *moved], Rules(last=1))) == [0, 10, 20]


def test_two_thousand_backups_over_a_thousand_days() -> None:
    """As spatie/laravel-backup tests its own: two a day, at 0:00 and 12:00, the last one now."""
    entries = [entry(NOW - timedelta(hours=12 * number)) for number in range(2000)]
    rules = Rules(last=3, daily=7, weekly=5, monthly=4, yearly=3)
    noon, midnight = range(12, 13), range(1)
    expected = {
        *((date(2026, 11, 22), hour) for hour in (*noon, *midnight)),
        *((date(2026, 11, day), 12) for day in range(16, 22)),
        *((date(2026, 11, day), 12) for day in (15, 8, 1)),
        *((day, 12) for day in (date(2026, 10, 25), date(2026, 10, 31), date(2026, 9, 30), date(2026, 8, 31))),
        *((day, 12) for day in (date(2025, 12, 31), date(2024, 12, 31))),
    }
    survivors = kept(reversed(entries), rules)
    assert {(one.manifest.started.date(), one.manifest.started.hour) for one in survivors} == expected
    assert len(survivors) == len(expected) == 17
    assert kept(survivors, rules) == survivors


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    made = draw(
        st.lists(
            st.tuples(
                st.integers(0, 60 * 24 * 800),
                st.sampled_from(["default", "default_archive", "x"]),
                st.sampled_from(["sqlite", "postgresql"]),
                st.sampled_from([None, None, True, False]),
                st.sampled_from(["hash", "restore"]),
                st.sampled_from([False, False, False, True]),
                st.sampled_from(["", "", "release"]),
                st.integers(1, 100),
            ),
            unique_by=lambda one: one[:3],
            max_size=120,
        )
    )
    return [
        entry(
            NOW - timedelta(minutes=minutes),
            alias=alias,
            engine=engine,
            verified=verified,
            level=level,
            pinned=pinned,
            tag=tag,
            size=size,
        )
        for minutes, alias, engine, verified, level, pinned, tag, size in made
    ]


counts = st.one_of(st.none(), st.integers(1, 12))
all_rules = st.builds(
    Rules,
    last=counts,
    hourly=counts,
    daily=counts,
    weekly=counts,
    monthly=counts,
    yearly=counts,
    within=st.one_of(st.none(), st.timedeltas(timedelta(hours=1), timedelta(days=90))),
    tags=st.sampled_from([(), ("release",)]),
    minimum=st.integers(1, 4),
    max_size=st.one_of(st.none(), st.integers(1, 2000)),
)


@given(histories(), all_rules)
def test_what_is_never_removed_and_a_second_run_finds_nothing(entries: list[Entry], rules: Rules) -> None:
    decisions = decide(entries, rules)
    assert sorted(each.entry.manifest.id for each in decisions) == sorted(one.manifest.id for one in entries)
    assert all(bool(each.reasons) != bool(each.removal) for each in decisions)
    left = [each.entry for each in decisions if not each.goes]
    for group in {one.group for one in entries}:
        newest_first = [each.entry for each in reversed(decisions) if each.entry.group == group]
        good = [one for one in newest_first if one.good]
        sound = [one for one in newest_first if not one.failed]
        always = [newest_first[0], *good[: rules.minimum], *sound[: rules.minimum]]
        always += [one for one in good if one.verified and one.verified.restored][:1]
        always += [one for one in newest_first if one.pinned]
        assert [one for one in always if one not in left] == []
        # Each database is decided about as if the others were not there.
        alone = [each for each in decisions if each.entry.group == group]
        assert list(decide(newest_first, rules)) == alone
    assert [each for each in decide(left, rules) if each.goes] == []


@given(histories(), all_rules)
def test_more_backups_of_others_change_nothing(entries: list[Entry], rules: Rules) -> None:
    other = [replace(one, manifest=replace(one.manifest, alias="zzz")) for one in entries]
    assert [each for each in decide([*entries, *other], rules) if each.entry in entries] == list(decide(entries, rules))


@given(histories(), st.integers(1, 12))
def test_where_nothing_was_verified_the_newest_are_kept(entries: list[Entry], last: int) -> None:
    plain = [replace(one, verified=None, pinned=None) for one in entries]
    left = kept(plain, Rules(last=last))
    for group in {one.group for one in plain}:
        ours = sorted((one for one in plain if one.group == group), key=lambda one: one.manifest.started)
        assert sorted((one for one in left if one.group == group), key=lambda one: one.manifest.started) == ours[-last:]


def test_what_a_new_one_replaces() -> None:
    made, *before = days(0, 1, 2, 3)
    others = days(1, 2, alias="default_archive")
    gone = surplus(made.manifest, before=[*before, *others], rules=Rules(last=2))
    assert gone == (before[2].manifest, before[1].manifest)
    assert surplus(made.manifest, before=before, rules=Rules()) == ()
