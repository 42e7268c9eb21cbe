"""Swift's answers as our errors."""

from __future__ import annotations

import pytest

from portal.domain.errors import ObjectDamaged, StoreError, StoreFull, StoreUnreachable
from portal.stores.rules import shown
from portal.stores.swift_errors import Throttled, error_of


@pytest.mark.parametrize("writing", [True, False])
@pytest.mark.parametrize("status", range(300, 600))
def test_every_status_is_one_clear_sentence(status, writing):
    error = error_of(status, host="store.example", what="the object “a”", writing=writing)
    assert isinstance(error, StoreError)
    assert str(error).endswith(".")
    assert "\n" not in str(error)
    assert str(error)[0].isupper()
    if status >= 500 and status != 507:
        assert not error.permanent


@pytest.mark.parametrize("status", range(300, 600))
def test_not_fetched_is_never_damaged(status):
    assert not isinstance(error_of(status, host="h", what="it"), ObjectDamaged)


def test_only_what_was_sent_can_find_no_room():
    for status in (413, 507):
        assert isinstance(error_of(status, host="h", what="it", writing=True), StoreFull)
        assert not isinstance(error_of(status, host="h", what="it"), StoreFull)
    assert isinstance(error_of(507, host="h", what="it"), StoreUnreachable)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("", 0), ("5", 5), ("-5", 0), ("1e9", 0), ("9" * 5000, 0), ("Sun, 22 Nov 2026", 0), ("٣", 0)],
)
def test_retry_after(told, seconds):
    error = error_of(503, host="h", what="it", retry_after=told)
    assert isinstance(error, Throttled)
    assert error.seconds == seconds


def test_a_name_in_a_sentence_is_short_and_printable():
    assert shown("a\nb\x1b[31m") == "“a�b�[31m”"
    assert len(shown("x" * 5000)) < 210
