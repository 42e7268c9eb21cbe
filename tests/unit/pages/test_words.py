"""Words of the pages that tests elsewhere do not pin down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.pages import words
from portal.pages.access import own_path
from portal.records.declarative import now

AT = datetime(2026, 11, 2, 8, 5, 9, tzinfo=UTC)


def test_a_moment() -> None:
    assert words.moment(AT) == "2 Nov 2026, 08:05"
    assert words.exact_moment(AT) == "2 Nov 2026, 08:05:09 UTC"
    assert words.machine_moment(AT) == "2026-11-02T08:05:09Z"
    assert words.moment(None) == words.NOTHING


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "a few seconds left"),
        (4.9, "a few seconds left"),
        (12, "about 10 s left"),
        (54, "about 55 s left"),
        (55, "about 1 min left"),
        (89, "about 1 min left"),
        (100, "about 2 min left"),
        (3600, "about 1 h left"),
        (5400, "about 1 h 30 min left"),
        (10**7, "about 115 d 17 h left"),
    ],
)
def test_time_left(seconds: float, said: str) -> None:
    assert words.time_left(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (59, "just now"), (61, "1 min ago"), (7300, "2 h ago"), (90000, "1 d ago")],
)
def test_ago(seconds: float, said: str) -> None:
    assert words.ago(now() - timedelta(seconds=seconds)) == said


def test_ago_of_nothing() -> None:
    assert words.ago(None) == "never"


def test_exact_sizes() -> None:
    assert words.exact_size(4 * 1024**3) == "4,294,967,296 bytes"
    assert words.exact_size(1) == "1 byte"
    assert words.exact_size(None) == words.size(None) == words.duration(None) == words.NOTHING


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("/", True),
        ("/servers?page=2#x", True),
        ("", False),
        ("servers", False),
        ("//host/", False),
        ("/\\host/", False),
        ("/x\\y", False),
        ("/\n/host", False),
        ("\t/x", False),
        ("http:/x", False),
        ("/" * 3, False),
    ],
)
def test_own_paths(address: str, *, own: bool) -> None:
    assert own_path(address) == (address if own else None)
