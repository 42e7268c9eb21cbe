"""How long a call tries again."""

from __future__ import annotations

import pytest

from portal.domain.errors import ObjectDamaged, StoreFull, StoreUnreachable
from portal.stores import patience
from portal.stores.patience import Patience
from portal.stores.swift_errors import Throttled


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def fail_until_given_up(patience: Patience, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:  # noqa: PT012 - which turn raises is the question
        while True:
            patience.pause_or_raise(error)
    assert caught.value is error


def test_permanent_errors_are_not_tried_again(clock):
    for error in (StoreFull("full"), StoreUnreachable("never", permanent=True)):
        fail_until_given_up(Patience(100), error)
    assert clock.slept == []


def test_pauses_grow_and_end_in_time(clock):
    fail_until_given_up(Patience(60), StoreUnreachable("gone"))
    assert clock.now <= 1060
    assert clock.now >= 1045
    assert all(0 < pause <= patience.LONGEST_PAUSE for pause in clock.slept)
    assert clock.slept[-1] > 4 * clock.slept[0]


def test_time_counts_from_the_first_failure(clock):
    given = Patience(60)
    clock.now += 5000
    given.pause_or_raise(StoreUnreachable("slow"))
    assert len(clock.slept) == 1
    clock.now += 60
    fail_until_given_up(given, StoreUnreachable("slow"))
    assert len(clock.slept) == 1


def test_progress_begins_anew(clock):
    given = Patience(60)
    given.pause_or_raise(StoreUnreachable("once"))
    clock.now += 60
    given.restart()
    given.pause_or_raise(StoreUnreachable("again"))
    assert len(clock.slept) == 2


def test_a_pause_asked_for_is_kept(clock):
    Patience(60).pause_or_raise(Throttled("slowly", seconds=7))
    assert clock.slept == [7]


def test_a_pause_asked_for_that_is_too_long_ends_it(clock):
    fail_until_given_up(Patience(60), Throttled("slowly", seconds=100_000))
    assert clock.slept == []


def test_damaged_data_is_sent_a_few_times_only(clock):
    fail_until_given_up(Patience(600), ObjectDamaged("bad"))
    assert len(clock.slept) == patience.DAMAGED
