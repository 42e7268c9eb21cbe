"""The tables of legal moves: everything that is not in them is refused."""

from __future__ import annotations

from itertools import product

import pytest

from portal.domain.errors import Conflict
from portal.domain.lifecycle import (
    ACTIVE_JOBS,
    ACTIVE_SNAPSHOTS,
    JOB_MOVES,
    SNAPSHOT_MOVES,
    UNSETTLED_SNAPSHOTS,
    JobState,
    SnapshotState,
    check_job_move,
    check_snapshot_move,
)

# Written out a second time on purpose: a change of the table must be meant.
LEGAL_SNAPSHOT = {
    "queued": {"running", "cancelled", "failed"},
    "running": {"done", "failed", "broken", "cancelled", "queued"},
    "done": {"deleting", "broken"},
    "broken": {"deleting", "done"},
    "deleting": {"gone", "broken"},
    "failed": {"gone"},
    "cancelled": {"gone"},
    "gone": set(),
}
LEGAL_JOB = {
    "queued": {"running", "cancelled", "failed"},
    "running": {"done", "failed", "cancelled", "lost", "queued"},
    "done": set(),
    "failed": set(),
    "cancelled": set(),
    "lost": set(),
}


@pytest.mark.parametrize(("now", "then"), list(product(SnapshotState, repeat=2)))
def test_a_snapshot_moves_only_as_the_table_says(now: SnapshotState, then: SnapshotState) -> None:
    if then.value in LEGAL_SNAPSHOT[now.value]:
        check_snapshot_move(now, then)
        return
    with pytest.raises(Conflict) as refused:
        check_snapshot_move(now, then)
    assert now.value in refused.value.message
    assert then.value in refused.value.message


@pytest.mark.parametrize(("now", "then"), list(product(JobState, repeat=2)))
def test_a_job_moves_only_as_the_table_says(now: JobState, then: JobState) -> None:
    if then.value in LEGAL_JOB[now.value]:
        check_job_move(now, then)
        return
    with pytest.raises(Conflict):
        check_job_move(now, then)


def test_every_state_has_its_line() -> None:
    assert set(SNAPSHOT_MOVES) == set(SnapshotState)
    assert set(JOB_MOVES) == set(JobState)


def test_every_snapshot_can_end_and_only_gone_is_for_ever() -> None:
    def reach(state: SnapshotState, seen: frozenset[SnapshotState]) -> bool:
        if state is SnapshotState.GONE:
            return True
        return any(
            reach(then, seen | {state}) for then in SNAPSHOT_MOVES[state] if then not in seen
        )

    assert all(reach(state, frozenset()) for state in SnapshotState)
    assert [state for state in SnapshotState if not SNAPSHOT_MOVES[state]] == [SnapshotState.GONE]


def test_a_snapshot_becomes_complete_only_by_running_or_where_its_readme_was_found() -> None:
    makers = {state for state, then in SNAPSHOT_MOVES.items() if SnapshotState.DONE in then}
    assert makers == {SnapshotState.RUNNING, SnapshotState.BROKEN}


def test_what_is_watched_is_what_changes_by_itself() -> None:
    assert set(ACTIVE_JOBS) == {JobState.QUEUED, JobState.RUNNING}
    assert set(ACTIVE_SNAPSHOTS) == {SnapshotState.QUEUED, SnapshotState.RUNNING}
    assert set(UNSETTLED_SNAPSHOTS) == {*ACTIVE_SNAPSHOTS, SnapshotState.DELETING}
