"""The pure difference between what is declared and what is stored."""

from dataclasses import replace

from maintenance.schedules.entries import Entry
from maintenance.schedules.plan import Conflict, Plan, Update, diff
from maintenance.schedules.stored import RETIRED, Row, Stored
from maintenance.schedules.timings import Interval

MINUTE = Entry(name="it", task="app.add", timing=Interval(60_000_000))
HOUR = replace(MINUTE, timing=Interval(3_600_000_000))
TO_HOUR = {"schedule": ("every 1m", "every 1h")}


def stored(*entries: Entry, owned: dict[str, str] | None = None, enabled: bool = True) -> Stored:
    rows = {entry.name: Row(pk, entry, enabled) for pk, entry in enumerate(entries, start=1)}
    return Stored(rows=rows, owned=owned or {})


def test_what_is_missing_is_created_and_owned() -> None:
    assert diff([MINUTE], stored()) == Plan(create=(MINUTE,), own={"it": MINUTE.fingerprint})


def test_what_is_equal_and_ours_needs_nothing() -> None:
    plan = diff([MINUTE], stored(MINUTE, owned={"it": MINUTE.fingerprint}))
    assert (plan, plan.touches_schedules) == (Plan(unchanged=1), False)


def test_what_is_ours_and_differs_is_updated() -> None:
    plan = diff([HOUR], stored(MINUTE, owned={"it": MINUTE.fingerprint}))
    assert plan == Plan(update=(Update(1, HOUR, TO_HOUR),), own={"it": HOUR.fingerprint})


def test_a_row_of_that_name_that_is_not_ours_is_a_conflict() -> None:
    assert diff([HOUR], stored(MINUTE)) == Plan(conflicts=(Conflict("it", TO_HOUR),))


def test_a_row_that_already_equals_the_entry_becomes_ours() -> None:
    plan = diff([MINUTE], stored(MINUTE))
    assert (plan, plan.touches_schedules) == (Plan(unchanged=1, own={"it": MINUTE.fingerprint}), False)


def test_what_left_the_settings_is_disabled_only_if_it_is_ours() -> None:
    other = replace(MINUTE, name="made in the admin")
    plan = diff([], stored(MINUTE, other, owned={"it": MINUTE.fingerprint}))
    assert plan == Plan(disable=(Row(1, MINUTE, True),), foreign=("made in the admin",), own={"it": RETIRED})


def test_what_a_person_disabled_stays_disabled() -> None:
    ours = {"it": MINUTE.fingerprint}
    assert diff([MINUTE], stored(MINUTE, owned=ours, enabled=False)) == Plan(unchanged=1)
    assert diff([HOUR], stored(MINUTE, owned=ours, enabled=False)).update == (Update(1, HOUR, TO_HOUR),)
    assert diff([], stored(MINUTE, owned=ours, enabled=False)) == Plan()


def test_what_we_disabled_comes_back_with_its_entry() -> None:
    retired = stored(MINUTE, owned={"it": RETIRED}, enabled=False)
    assert diff([], retired) == Plan()
    assert diff([MINUTE], retired) == Plan(
        update=(Update(1, MINUTE, {"enabled": (False, True)}),), own={"it": MINUTE.fingerprint}
    )


def test_a_retired_row_that_a_person_enabled_is_theirs() -> None:
    assert diff([], stored(MINUTE, owned={"it": RETIRED})) == Plan()


def test_a_row_deleted_by_hand_is_created_again_or_forgotten() -> None:
    ours = {"it": MINUTE.fingerprint}
    assert diff([MINUTE], stored(owned=ours)) == Plan(create=(MINUTE,))
    assert diff([], stored(owned=ours)) == Plan(forget=("it",))
