"""Sizes and lengths of time in plain words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.domain.amounts import duration, size

_UNIT = {"KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4, "PiB": 5, "EiB": 6}


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (4 * 1024**3, "4 GiB"),
        (1024**2 - 1, "1 MiB"),
        (293 * 1024**2, "293 MiB"),
        (2**63, "8 EiB"),
        (5000 * 1024**6, "5000 EiB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


@given(st.integers(1024, 2**63))
def test_a_size_in_words_is_close_to_the_size(count: int) -> None:
    number, unit = size(count).split()
    assert float(number) * 1024 ** _UNIT[unit] == pytest.approx(count, rel=0.05)
    assert re.fullmatch(r"\d{1,2}(\.\d)?|\d{3,4}", number)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under 1 s"),
        (0.99, "under 1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3840, "1 h 4 min"),
        (183600, "2 d 3 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
