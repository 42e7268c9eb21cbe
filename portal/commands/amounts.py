"""Numbers as people read them: bytes in powers of 1,000 (as stores bill them), times, lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def size(count: float | None) -> str:
    """`293 MB`, `4.29 GB`: three digits that count; an empty text for None."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count:.0f} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def duration(seconds: float | None) -> str:
    """`14 s`, `3 min 5 s`, `2 h 10 min`; an empty text for None."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from one to the other; None where one is missing."""
    if start is None or end is None:
        return None
    length: timedelta = end - start
    return length.total_seconds()


def clock(at: datetime | None) -> str:
    """`2026-11-22 20:17:46`, UTC; an empty text for None."""
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""
