"""Amounts and times in a terminal's columns: what is not known is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain import amounts

if TYPE_CHECKING:
    from datetime import datetime


def size(count: float | None) -> str:
    """`310 MiB`; an empty text for None."""
    return "" if count is None else amounts.size(count)


def duration(seconds: float | None) -> str:
    """`2 min 5 s`; an empty text for None."""
    return "" if seconds is None else amounts.duration(seconds)


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from one to the other; None where one is missing."""
    return None if start is None or end is None else (end - start).total_seconds()


def clock(at: datetime | None) -> str:
    """`2026-11-22 20:17:46`, UTC; an empty text for None."""
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""
