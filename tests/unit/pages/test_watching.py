"""A snapshot as people watch it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.domain.kinds import Kind
from portal.domain.lifecycle import (
    UNSETTLED_SNAPSHOTS,
    JobKind,
    JobState,
    SnapshotState,
)
from portal.pages.watching import CANCELLING, STATES, Watched
from portal.records import Job, Snapshot
from portal.records.declarative import now
from portal.services.snapshots import HistoryLine

GIB = 1024**3


def _watched(state: SnapshotState, job: Job | None = None, **values: object) -> Watched:
    snapshot = Snapshot(
        server_id=1, store_id=1, kind=Kind.RAW, state=state, folder="web-1/x", **values
    )
    return Watched(HistoryLine(snapshot, job))


def _job(state: JobState = JobState.RUNNING, **values: object) -> Job:
    return Job(kind=JobKind.CAPTURE, state=state, server_id=1, snapshot_id=1, queue="any", **values)


def test_every_state_has_its_words() -> None:
    assert set(STATES) == {*SnapshotState, CANCELLING}


@pytest.mark.parametrize("state", list(SnapshotState))
def test_what_can_be_done_follows_from_the_state(state: SnapshotState) -> None:
    watched = _watched(state)
    assert watched.unsettled is (state in UNSETTLED_SNAPSHOTS)
    assert not (watched.can_cancel and watched.can_delete)


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [
        (0, 4 * GIB, 0),
        (GIB, 4 * GIB, 25),
        (4 * GIB, 4 * GIB, 99),
        (5 * GIB, 4 * GIB, 99),
        (5, 0, None),
    ],
)
def test_percent(done: int, total: int, percent: int | None) -> None:
    job = _job(bytes_done=done, bytes_total=total)
    assert _watched(SnapshotState.RUNNING, job).percent == percent


def test_a_job_that_waits_has_no_percent() -> None:
    watched = _watched(SnapshotState.QUEUED, _job(JobState.QUEUED, bytes_done=1, bytes_total=2))
    assert watched.percent is None
    assert watched.figures == ""
    assert watched.step == "Waiting to start"


def test_no_time_left_is_told_without_a_rate_or_at_the_end() -> None:
    running = SnapshotState.RUNNING
    slow = _watched(running, _job(bytes_done=GIB, bytes_total=2 * GIB, rate=0.0))
    assert slow.figures == "1 GiB of 2 GiB"
    ended = _watched(running, _job(bytes_done=2 * GIB, bytes_total=2 * GIB, rate=1.0))
    assert ended.figures == "2 GiB of 2 GiB"


def test_seen_differs_with_progress_and_key_with_the_state() -> None:
    first = _watched(SnapshotState.RUNNING, _job(bytes_done=1 * GIB, bytes_total=4 * GIB))
    second = _watched(SnapshotState.RUNNING, _job(bytes_done=2 * GIB, bytes_total=4 * GIB))
    assert first.key == second.key
    assert first.seen != second.seen
    stopping = _watched(SnapshotState.RUNNING, _job(cancel_requested_at=now()))
    assert stopping.key == CANCELLING
    assert not stopping.can_cancel


def test_duration() -> None:
    begun = now() - timedelta(seconds=100)
    running = _watched(SnapshotState.RUNNING, started_at=begun).seconds
    assert running is not None
    assert 99 < running < 110
    ended = begun + timedelta(seconds=42)
    assert _watched(SnapshotState.DONE, started_at=begun, finished_at=ended).seconds == 42
    assert _watched(SnapshotState.CANCELLED, finished_at=ended).seconds is None


def test_news_carry_the_error() -> None:
    told = _watched(SnapshotState.BROKEN, error="The worker stopped.").news
    assert told.endswith("UTC: Broken. The worker stopped.")
