"""Durations and sizes as people write them: ``30s 5m 2h 7d 1w`` and ``512MB``."""

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "K": 2**10, "M": 2**20, "G": 2**30}


def duration(text: object) -> timedelta:
    """Return ``7d``, ``90m``, ``1h30m`` or a plain number of seconds as a timedelta.

    Raises ValueError for anything else, and for negative or unrepresentable values.
    """
    words = text.strip() if isinstance(text, str) else ""
    if isinstance(text, timedelta):
        seconds = text.total_seconds()
    elif isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    elif re.fullmatch(r"\d+(\.\d+)?", words):
        seconds = float(words)
    elif re.fullmatch(r"(\d+(\.\d+)?[smhdw])+", words):
        seconds = sum(float(n) * _SECONDS[unit] for n, unit in re.findall(r"([\d.]+)([smhdw])", words))
    else:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m, 2h or 7d")
    if not 0 <= seconds <= timedelta.max.total_seconds():
        raise ValueError(f"{text!r} is out of range for a duration")
    return timedelta(seconds=seconds)


def size(text: str | int) -> int:
    """Return ``512MB``, ``1.5GiB`` or a plain number as bytes. MB is 10**6, MiB is 2**20.

    Raises ValueError for anything else and for sizes below one byte.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(text).strip())
    unit = found and found[2].upper()
    if found is None or unit not in _BYTES or isinstance(text, bool):
        raise ValueError(f"{text!r} is not a size such as 512MB or 2GiB")
    value = int(float(found[1]) * _BYTES[unit])
    if value < 1:
        raise ValueError(f"{text!r} is too small for a size")
    return value


def whole(value: object) -> int:
    """Return a whole number from 1 up, given as a number or as text. Raises ValueError for anything else."""
    text = str(value).strip()
    if not re.fullmatch(r"\d{1,18}", text) or int(text) < 1:
        raise ValueError(f"{value!r} is not a whole number from 1 up")
    return int(text)


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 batch``, ``2 batches`` (``many`` where an s is not enough)."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def human_size(size_bytes: int) -> str:
    """Return bytes the way :func:`size` reads them: ``512 B``, ``1.5 MB``."""
    value, unit = float(size_bytes), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def human_duration(value: timedelta | float) -> str:
    """Return a duration the way :func:`duration` reads it: ``45s``, ``1h30m``, ``7d``."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 60:
        return f"{seconds:g}s"
    parts, rest = [], round(seconds)
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
