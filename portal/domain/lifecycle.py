"""The lives of snapshots and jobs: one table of legal moves each, and nothing else moves a state.

What must always hold:
- A snapshot is `done` exactly when its README.txt stands in the store.
- `failed` and `cancelled` left nothing behind in the store; `broken` did, or may have.
- A job that is `running` has a lease; the move out of `running` needs its fencing token.
"""

from __future__ import annotations

from enum import StrEnum

from portal.domain.errors import Conflict


class SnapshotState(StrEnum):
    """Where a snapshot is in its life. Values are stored; never rename one."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BROKEN = "broken"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    GONE = "gone"


class JobState(StrEnum):
    """Where a job is. Values are stored; never rename one."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Its worker died: the lease ran out."""


class JobKind(StrEnum):
    """What a job does. Values are stored; never rename one."""

    CAPTURE = "capture"
    DELETE = "delete"
    INSPECT = "inspect"


_S = SnapshotState
SNAPSHOT_MOVES: dict[SnapshotState, frozenset[SnapshotState]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED, _S.FAILED}),
    # Back to queued: its worker was asked to stop; the next one goes on with the parts that stand.
    _S.RUNNING: frozenset({_S.DONE, _S.FAILED, _S.BROKEN, _S.CANCELLED, _S.QUEUED}),
    _S.DONE: frozenset({_S.DELETING, _S.BROKEN}),
    # To done only where README.txt turned out to stand: its worker died before it could say so.
    _S.BROKEN: frozenset({_S.DELETING, _S.DONE}),
    # A deletion that could not finish leaves files without a README.txt: broken, deletable again.
    _S.DELETING: frozenset({_S.GONE, _S.BROKEN}),
    # Nothing stands in the store: the line in the list is all there is to remove.
    _S.FAILED: frozenset({_S.GONE}),
    _S.CANCELLED: frozenset({_S.GONE}),
    _S.GONE: frozenset(),
}

_J = JobState
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _J.QUEUED: frozenset({_J.RUNNING, _J.CANCELLED, _J.FAILED}),
    _J.RUNNING: frozenset({_J.DONE, _J.FAILED, _J.CANCELLED, _J.LOST, _J.QUEUED}),
    _J.DONE: frozenset(),
    _J.FAILED: frozenset(),
    _J.CANCELLED: frozenset(),
    _J.LOST: frozenset(),
}

ACTIVE_JOBS = (JobState.QUEUED, JobState.RUNNING)
ACTIVE_SNAPSHOTS = (SnapshotState.QUEUED, SnapshotState.RUNNING)
UNSETTLED_SNAPSHOTS = (*ACTIVE_SNAPSHOTS, SnapshotState.DELETING)
"""States that change by themselves: pages watch these."""


def check_snapshot_move(now: SnapshotState, then: SnapshotState) -> None:
    """Raise `Conflict` unless a snapshot may go from `now` to `then`."""
    if then not in SNAPSHOT_MOVES[now]:
        raise Conflict(f"A snapshot that is {now} cannot become {then}.")


def check_job_move(now: JobState, then: JobState) -> None:
    """Raise `Conflict` unless a job may go from `now` to `then`."""
    if then not in JOB_MOVES[now]:
        raise Conflict(f"A job that is {now} cannot become {then}.")
