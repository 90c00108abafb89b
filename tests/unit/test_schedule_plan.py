"""The pure difference between what is declared, what is stored and what was applied last."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maintenance.schedules.cleanup import BACKEND_CLEANUP
from maintenance.schedules.diff import diff
from maintenance.schedules.entries import Entry
from maintenance.schedules.plan import Conflict, Plan, Update
from maintenance.schedules.stored import DONE, RETIRED, Record, Row, Stored
from maintenance.schedules.timings import Interval

MINUTE = Entry(name="it", task="app.add", timing=Interval(60_000_000))
HOUR = replace(MINUTE, timing=Interval(3_600_000_000))
DAY = replace(MINUTE, timing=Interval(86_400_000_000))
OFF = replace(MINUTE, enabled=False)
TO_HOUR = {"schedule": ("every 1m", "every 1h")}


def applied(entry: Entry, **other: Any) -> Record:
    return Record(entry.fingerprint, {**entry.facts, **other})


def retired(entry: Entry) -> Record:
    return Record(RETIRED, entry.facts)


def stored(*entries: Entry, **owned: Record) -> Stored:
    return Stored(rows={entry.name: Row(pk, entry) for pk, entry in enumerate(entries, start=1)}, owned=owned)


def test_what_is_missing_is_created_and_owned() -> None:
    assert diff([MINUTE], stored()) == Plan(create=(MINUTE,), own={"it": applied(MINUTE)})


def test_what_is_equal_and_ours_needs_nothing() -> None:
    plan = diff([MINUTE], stored(MINUTE, it=applied(MINUTE)))
    assert (plan, plan.pending) == (Plan(unchanged=1), False)


def test_what_is_ours_and_differs_is_updated() -> None:
    plan = diff([HOUR], stored(MINUTE, it=applied(MINUTE)))
    assert plan == Plan(update=(Update(1, HOUR, TO_HOUR),), own={"it": applied(HOUR)})


def test_what_we_applied_before_we_remembered_fields_is_updated_too() -> None:
    assert diff([HOUR], stored(MINUTE, it=Record("any"))).update == (Update(1, HOUR, TO_HOUR),)


def test_a_row_of_that_name_that_is_not_ours_is_a_conflict_equal_or_not() -> None:
    assert diff([HOUR], stored(MINUTE)) == Plan(conflicts=(Conflict("it", TO_HOUR),))
    assert diff([MINUTE], stored(MINUTE)) == Plan(conflicts=(Conflict("it", {}),))


def test_adopting_makes_it_ours_and_what_is_declared() -> None:
    assert diff([HOUR], stored(MINUTE), adopt=True) == Plan(
        update=(Update(1, HOUR, TO_HOUR, adopted=True),), own={"it": applied(HOUR)}
    )
    equal = diff([MINUTE], stored(MINUTE), adopt=True)
    assert equal == Plan(update=(Update(1, MINUTE, {}, adopted=True),), own={"it": applied(MINUTE)})
    resting = diff([MINUTE], stored(OFF), adopt=True)
    assert resting.update == (Update(1, OFF, {}, adopted=True),), "a person disabled it"


def test_an_edit_by_hand_is_kept_and_told_every_time() -> None:
    tables = stored(HOUR, it=applied(MINUTE))
    edited = Conflict("it", {"schedule": ("every 1h", "every 1m")}, "edited")
    assert diff([MINUTE], tables) == diff([MINUTE], tables, on_conflict="error") == Plan(conflicts=(edited,))


def test_an_edit_by_hand_is_overwritten_when_the_code_wins() -> None:
    plan = diff([MINUTE], stored(HOUR, it=applied(MINUTE)), on_conflict="code")
    assert plan == Plan(update=(Update(1, MINUTE, {"schedule": ("every 1h", "every 1m")}),))


def test_of_an_edited_row_the_other_fields_follow_the_code() -> None:
    wanted = replace(DAY, queue="heavy")
    plan = diff([wanted], stored(HOUR, it=applied(MINUTE)))
    assert plan == Plan(
        update=(Update(1, replace(HOUR, queue="heavy"), {"queue": (None, "heavy")}),),
        conflicts=(Conflict("it", {"schedule": ("every 1h", "every 1d")}, "edited"),),
        own={"it": applied(wanted, schedule=MINUTE.timing.meaning_text)},
    )
    again = diff([wanted], stored(replace(HOUR, queue="heavy"), **plan.own))
    assert again == Plan(conflicts=plan.conflicts), "and then nothing is left to do"


def test_the_same_edit_by_hand_and_in_the_code_is_no_conflict() -> None:
    assert diff([HOUR], stored(HOUR, it=applied(MINUTE))) == Plan(unchanged=1, own={"it": applied(HOUR)})


def test_what_the_table_has_no_column_for_is_never_a_conflict() -> None:
    limited = replace(MINUTE, options='{"time_limit": 5}', misfire="all", no_overlap=True, ping="https://example.com/")
    plan = diff([limited], stored(MINUTE, it=applied(MINUTE)))
    assert [update.changes for update in plan.update] == [
        {
            "options": ("{}", '{"time_limit": 5}'),
            "misfire": ("once", "all"),
            "no_overlap": (False, True),
            "ping": ("", "https://example.com/"),
        }
    ]


def test_a_description_and_a_start_are_a_persons_business_unless_the_code_names_them() -> None:
    by_hand = replace(MINUTE, description="by hand", start_time=datetime(2030, 1, 1, tzinfo=UTC))
    assert diff([MINUTE], stored(by_hand, it=applied(MINUTE))) == Plan(unchanged=1)
    named = replace(MINUTE, description="by code")
    assert diff([named], stored(MINUTE, it=applied(MINUTE))).update == (
        Update(1, named, {"description": (None, "by code")}),
    )
    assert diff([MINUTE], stored(named, it=applied(named))).update == (
        Update(1, MINUTE, {"description": ("by code", None)}),
    )


def test_what_left_the_settings_is_disabled_only_if_it_is_ours() -> None:
    other = replace(MINUTE, name="made in the admin")
    plan = diff([], stored(MINUTE, other, it=applied(MINUTE)))
    assert plan == Plan(disable=(Row(1, MINUTE),), foreign=("made in the admin",), own={"it": retired(MINUTE)})


def test_what_left_the_settings_is_deleted_or_kept_as_asked() -> None:
    other = replace(MINUTE, name="made in the admin")
    tables = stored(MINUTE, other, it=applied(MINUTE))
    foreign = ("made in the admin",)
    assert diff([], tables, prune="delete") == Plan(delete=(Row(1, MINUTE),), foreign=foreign, forget=("it",))
    assert diff([], tables, prune="keep") == Plan(foreign=foreign)
    assert diff([], stored(OFF, it=retired(MINUTE)), prune="delete").delete == (Row(1, OFF),)


def test_what_a_person_disabled_stays_disabled() -> None:
    tables = stored(OFF, it=applied(MINUTE))
    assert diff([MINUTE], tables) == diff([MINUTE], tables, on_conflict="code") == Plan(unchanged=1)
    assert diff([HOUR], tables).update == (Update(1, replace(HOUR, enabled=False), TO_HOUR),)
    assert diff([], tables) == Plan()


def test_what_the_code_disabled_comes_back_with_the_code() -> None:
    assert diff([MINUTE], stored(OFF, it=applied(OFF))).update == (Update(1, MINUTE, {"enabled": (False, True)}),)
    assert diff([OFF], stored(MINUTE, it=applied(MINUTE))).update == (Update(1, OFF, {"enabled": (True, False)}),)
    by_hand = diff([OFF], stored(MINUTE, it=applied(OFF)))
    assert by_hand == Plan(conflicts=(Conflict("it", {"enabled": (True, False)}, "edited"),))


def test_what_we_disabled_comes_back_with_its_entry() -> None:
    tables = stored(OFF, it=retired(MINUTE))
    assert diff([], tables) == Plan()
    assert diff([MINUTE], tables) == Plan(
        update=(Update(1, MINUTE, {"enabled": (False, True)}),), own={"it": applied(MINUTE)}
    )


@pytest.mark.parametrize("prune", ["disable", "delete", "keep"])
def test_a_retired_row_that_a_person_enabled_is_theirs(prune: Any) -> None:
    assert diff([], stored(MINUTE, it=retired(MINUTE)), prune=prune) == Plan(foreign=("it",))


def test_a_row_deleted_by_hand_is_created_again_or_forgotten() -> None:
    assert diff([MINUTE], stored(it=applied(MINUTE))) == Plan(create=(MINUTE,))
    assert diff([], stored(it=applied(MINUTE))) == Plan(forget=("it",))


def test_only_the_named_are_looked_at() -> None:
    one, two, gone = (replace(MINUTE, name=name) for name in ("one", "two", "gone"))
    tables = stored(gone, replace(MINUTE, name="theirs"), gone=applied(gone))
    assert diff([one, two], tables, only=["two"]) == Plan(create=(two,), own={"two": applied(two)})
    assert diff([one, two], tables, only=["gone"]).disable == (Row(1, gone),)


def test_celerys_own_entry_rests_when_another_purges_results() -> None:
    builtin = Entry(name=BACKEND_CLEANUP, task=BACKEND_CLEANUP, timing=Interval(60_000_000))
    tables = stored(builtin)
    assert diff([], tables) == diff([HOUR], tables, only=[BACKEND_CLEANUP]) == Plan(foreign=(BACKEND_CLEANUP,))
    assert diff([builtin], tables) == Plan(foreign=(BACKEND_CLEANUP,)), "beat made it, beat keeps it"
    plan = diff([], tables, replaces_cleanup=True, prune="delete")
    assert plan == Plan(disable=(Row(1, builtin),), own={BACKEND_CLEANUP: Record(RETIRED)})
    resting = stored(replace(builtin, enabled=False), **plan.own)
    assert diff([], resting, replaces_cleanup=True) == Plan()
    renamed = stored(replace(builtin, name="mine"))
    assert diff([], renamed, replaces_cleanup=True) == Plan(foreign=("mine",))


def test_what_beat_ended_stays_done_until_its_entry_changes() -> None:
    once = replace(MINUTE, one_off=True)
    ended, done = replace(once, enabled=False), Record(DONE, once.facts)
    assert diff([once], stored(ended, it=done)) == Plan(unchanged=1)
    again = replace(HOUR, one_off=True)
    plan = diff([again], stored(ended, it=done))
    assert plan == Plan(update=(Update(1, again, {**TO_HOUR, "enabled": (False, True)}),), own={"it": applied(again)})
    by_hand = diff([again], stored(ended, it=applied(once)))
    assert by_hand.update == (Update(1, replace(again, enabled=False), TO_HOUR),), "a person is obeyed"


def test_what_beat_ended_and_a_person_enabled_again_is_as_it_was() -> None:
    once = replace(MINUTE, one_off=True)
    assert diff([once], stored(once, it=Record(DONE, once.facts))) == Plan(unchanged=1, own={"it": applied(once)})


def test_what_beat_ended_may_leave_and_come_back() -> None:
    once = replace(MINUTE, one_off=True)
    tables = stored(replace(once, enabled=False), it=Record(DONE, once.facts))
    assert diff([], tables) == Plan()
    assert diff([], tables, prune="delete").forget == ("it",)
