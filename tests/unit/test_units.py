"""Durations and sizes: what is read, what is refused."""

from datetime import timedelta

import pytest

from maintenance import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604800),
        ("1w", 604800),
        ("1h30m", 5400),
        ("90", 90),
        (1.5, 1.5),
        ("0", 0),
    ],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert units.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "7 days", "-5m", "5x", "d", True, -1, "1e400", 1e300])
def test_nonsense_is_no_duration(text: str | float) -> None:
    with pytest.raises(ValueError):
        units.duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("512MB", 512_000_000), ("2GiB", 2 << 30), ("10 kb", 10_000), (7, 7), ("1.5K", 1536)]
)
def test_a_size_is_read(text: str | int, size_bytes: int) -> None:
    assert units.size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "0", "5XB", True])
def test_nonsense_is_no_size(text: str | int) -> None:
    with pytest.raises(ValueError):
        units.size(text)


def test_sizes_and_durations_are_written_for_people() -> None:
    assert [units.human_size(size) for size in (0, 999, 1500, 3_200_000_000)] == ["0 B", "999 B", "1.5 KB", "3.2 GB"]
    assert [units.human_duration(seconds) for seconds in (0.5, 45, 90, 5400, 604800)] == [
        "0.5s",
        "45s",
        "1m30s",
        "1h30m",
        "7d",
    ]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many", "9" * 30])
def test_only_whole_numbers_from_one_up_count(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number from 1 up"):
        units.whole(text)


def test_a_noun_follows_its_number() -> None:
    assert [units.whole("1"), units.whole(" 5000 ")] == [1, 5000]
    assert [units.counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert units.counted(2, "batch", "batches") == "2 batches"
