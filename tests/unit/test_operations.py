"""What the ops page draws, and how it asks: without a database, a broker or a browser."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenance.errors import Unavailable
from maintenance.health.base import FAILED, OK, UNKNOWN, WARNING, Figure
from maintenance.health.runner import Answer, Finding
from maintenance.operations import asking, charts, tiles, timeline
from maintenance.results.history import Duration, Hour, Run
from maintenance.schedules.timings import Interval
from maintenance.schedules.upcoming import runs as all_runs

NOW = datetime(2026, 3, 29, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def lane(*runs: Run, upcoming: list[datetime] | None = None) -> timeline.Lane:
    return timeline.draw(["a"], now=NOW, runs=runs, upcoming={"a": upcoming or []}).lanes[0]


def test_a_run_is_a_bar_from_its_start_to_its_end_inside_the_picture() -> None:
    drawn = lane(
        Run("a", "SUCCESS", NOW - 6 * HOUR, NOW - 5 * HOUR, 1),
        Run("a", "FAILURE", NOW - 14 * HOUR, NOW - 11 * HOUR, 3),
        Run("a", "STARTED", NOW - HOUR, NOW - HOUR, 1),
        Run("a", "REVOKED", NOW, NOW, 1),
    )
    assert [(bar.state, bar.x, bar.width) for bar in drawn.bars] == [
        ("failed", 0.0, 4.167),
        ("ok", 25.0, pytest.approx(4.167)),
        ("running", 45.833, pytest.approx(4.167)),
        ("other", 50.0, 0.25),
    ]
    assert drawn.bars[0].words == "FAILURE: 3 runs, 10800.0 s"
    assert drawn.words == "1 succeeded, 3 failed, 1 running, 1 other; 0 to come"


def test_future_runs_are_ticks_up_to_the_edge() -> None:
    edges = [NOW - timedelta(seconds=1), NOW, NOW + 12 * HOUR, NOW + 12 * HOUR + timedelta(seconds=1)]
    drawn = lane(upcoming=edges)
    assert (drawn.ticks, drawn.path, drawn.band) == ((720.0, 1440.0), "M720 0V12M1440 0V12", None)


@pytest.mark.parametrize(("number", "ticks", "has_band"), [(48, 48, False), (49, 48, True), (5000, 48, True)])
def test_too_many_future_runs_become_a_band(number: int, ticks: int, has_band: bool) -> None:
    drawn = lane(upcoming=[NOW + timedelta(minutes=each) for each in range(min(number, 700))])
    assert (len(drawn.ticks), drawn.band is not None) == (ticks, has_band)
    assert ("more than" in drawn.words) is has_band


def test_the_grid_has_room_for_now() -> None:
    drawn = timeline.draw([], now=NOW, runs=[], upcoming={})
    assert (drawn.hours[0].at, drawn.hours[0].is_labelled) == (datetime(2026, 3, 29, 1, tzinfo=UTC), False)
    assert [hour.at.hour for hour in drawn.hours if hour.is_labelled] == [4, 7, 10, 16, 19, 22]
    assert all(0 <= hour.x <= 100 for hour in drawn.hours)


def test_ticks_are_those_of_the_schedule_itself() -> None:
    found = list(zip(range(3), all_runs(Interval(3_600_000_000), NOW), strict=False))
    assert lane(upcoming=[run for _, run in found]).ticks == (780.0, 840.0, 900.0)


def test_hours_are_stacked_and_empty_ones_leave_room() -> None:
    start = NOW - 3 * HOUR
    first = start.replace(minute=0)
    drawn = charts.columns([Hour(first, 6, 2), Hour(first + 2 * HOUR, 4, 0)], start=start, now=NOW)
    assert (drawn.width, drawn.most, drawn.ok, drawn.failed) == (4, 8, 10, 2)
    assert [(each.x, each.ok_y, each.ok_height, each.failed_y, each.failed_height) for each in drawn.columns] == [
        (0, 0.0, 75.0, 75.0, 25.0),
        (2, 50.0, 50.0, 100.0, 0.0),
    ]
    assert charts.columns([], start=start, now=NOW).most == 0


def test_the_slowest_task_has_the_whole_bar() -> None:
    drawn = charts.rows([Duration("slow", 3, 8.0), Duration(None, 1, 2.0)])
    assert [(each.task, each.share) for each in drawn] == [("slow", 100.0), ("(no name)", 25.0)]
    assert len(charts.rows([Duration(str(each), 1, 0.0) for each in range(16)])) == 15


def answer(id: str, state: str = OK, message: str = "m", *figures: Figure) -> Answer:
    wrong = state != OK
    return Answer(Finding(id, id, state, message, "c" if wrong else "", "cure" if wrong else ""), figures)


def shown(*answers: Answer, failed: int | None = None) -> dict[str, tuple[Any, ...]]:
    return {each.id: (each.state, each.figure, each.details) for each in tiles.of(answers, failed_today=failed)}


def test_a_tile_has_the_worst_state_of_its_checks_and_says_only_what_is_worst() -> None:
    waiting = [Figure("queue_messages", 2, {"queue": "a"}), Figure("queue_messages", 40, {"queue": "b"})]
    aged = answer("queue.age", FAILED, "b waits.", *waiting)
    assert shown(answer("queues", WARNING), aged) == {"queues": (FAILED, "42 waiting", ("b waits. c",))}
    assert shown(answer("queues", UNKNOWN, "?"), answer("queue.age", WARNING)) == {"queues": (UNKNOWN, "?", ("? c",))}


def test_what_is_ill_and_has_no_tile_gets_one() -> None:
    found = shown(answer("disk"), answer("cache:other", FAILED), answer("clock", UNKNOWN), failed=0)
    assert found == {
        "failures": (OK, "0", ("0 runs failed.",)),
        "cache:other": (FAILED, "?", ("m c",)),
        "clock": (UNKNOWN, "?", ("m c",)),
    }


def test_a_backups_tile_tells_of_the_oldest_newest_one_and_the_last_proof() -> None:
    made = [Figure("backup_age_seconds", 60, {}), Figure("backup_age_seconds", 7200, {})]
    proven = Figure("backup_verified_age_seconds", 3600, {})
    assert shown(answer("backups", OK, "m", *made)) == {"backups": (OK, "2h ago", ("Never verified.",))}
    two = (answer("backups:near", OK, "m", made[0]), answer("backups:far", FAILED, "bad", made[1], proven))
    assert shown(*two) == {"backups": (FAILED, "2h ago", ("Verified 1h ago.", "bad c"))}


def test_a_question_under_way_is_not_asked_again_and_an_answer_serves_for_a_moment() -> None:
    gate, asked = threading.Event(), []

    def question() -> int:
        asked.append(1)
        gate.wait(60)
        return len(asked)

    first = asking.begin({"unit": question})["unit"]
    assert asking.begin({"unit": question})["unit"] is first
    assert first.answer(first.begun).trouble.startswith("no answer within ")
    gate.set()
    assert first.answer(first.begun + 60) == asking.Answer(1)
    assert asking.begin({"unit": question})["unit"] is first
    again = asking.begin({"unit": question}, fresh=0)["unit"]
    assert again.answer(again.begun + 60) == asking.Answer(2)
    asking.forget()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable(service="It", reason="no"), "It is unavailable: no."),
        (OSError("gone"), "gone"),
        (OSError(), "OSError"),
    ],
)
def test_trouble_is_told_in_words(error: Exception, words: str) -> None:
    def question() -> None:
        raise error

    asked = asking.begin({"trouble": question}, fresh=0)["trouble"]
    assert asked.answer(asked.begun + 60) == asking.Answer(trouble=words)
