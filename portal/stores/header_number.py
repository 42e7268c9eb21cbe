"""Whole numbers in header lines: foreign text until it is read."""

from __future__ import annotations

DIGITS = 19
"""Enough for any size below 2^63."""


def header_number(text: str) -> int | None:
    """The number; None for anything but 1 to 19 ASCII digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else None
