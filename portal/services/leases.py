"""Leases: how a worker claims a job, shows life, and ends it; and how a dead one is noticed.

What must always hold:
- A job runs at most once: claiming is one conditional update, and raises the fence.
- Every later word of a worker carries its fence; an old fence changes nothing and is told so.
- A lease that ran out makes the job lost and its snapshot broken, whatever else runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import ColumnElement, select, update

from portal.domain.errors import LeaseLost
from portal.domain.lifecycle import JobKind, JobState, SnapshotState, check_job_move
from portal.records import Host, Job, Snapshot
from portal.records.declarative import now
from portal.services.moves import move_snapshot

if TYPE_CHECKING:
    from portal.work import Work

log = structlog.get_logger()

LOST = "The worker stopped in the middle of this job."
_RESEND_AFTER = timedelta(seconds=10)
_RECHECK_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim on a job."""

    job_id: int
    fence: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a job tells with each sign of life; bytes of the source, `sent` of the wire."""

    step: str
    done: int = 0
    total: int = 0
    sent: int = 0
    rate: float = 0.0


def claim(work: Work, job_id: int, worker: str) -> Lease | None:
    """Claim a queued job; None if it is not to be run (taken, cancelled, gone)."""
    at = now()
    fence = work.session.scalar(
        update(Job)
        .where(Job.id == job_id, Job.state == JobState.QUEUED)
        .values(
            state=JobState.RUNNING,
            fence=Job.fence + 1,
            worker=worker[:255],
            started_at=at,
            lease_until=at + timedelta(seconds=work.settings.lease_seconds),
        )
        .returning(Job.fence)
        .execution_options(synchronize_session=False)
    )
    if fence is None:
        return None
    job = work.session.get_one(Job, job_id, populate_existing=True)
    if job.kind is JobKind.CAPTURE and job.snapshot is not None:
        move_snapshot(work, job.snapshot, SnapshotState.RUNNING, started_at=at)
    return Lease(job_id, fence)


def renew(work: Work, lease: Lease, report: Report) -> bool:
    """Show life and tell how far it is; whether somebody asked to cancel. Raises `LeaseLost`."""
    row = work.session.execute(
        update(Job)
        .where(*_held(lease))
        .values(
            lease_until=now() + timedelta(seconds=work.settings.lease_seconds),
            step=report.step,
            bytes_done=report.done,
            bytes_total=report.total,
            bytes_sent=report.sent,
            rate=report.rate,
        )
        .returning(Job.cancel_requested_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        raise LeaseLost("This job was taken over, or its lease ran out.")
    return row[0] is not None


def end(work: Work, lease: Lease, state: JobState, *, error: str | None = None) -> Job:
    """End a job that this lease holds. Raises `LeaseLost`."""
    check_job_move(JobState.RUNNING, state)
    row = work.session.execute(
        update(Job)
        .where(*_held(lease))
        .values(state=state, ended_at=now(), lease_until=None, error=error)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        raise LeaseLost("This job was taken over, or its lease ran out.")
    return work.session.get_one(Job, lease.job_id, populate_existing=True)


def hand_back(work: Work, lease: Lease) -> None:
    """Let another worker run this job from its start: this one was asked to stop."""
    check_job_move(JobState.RUNNING, JobState.QUEUED)
    row = work.session.execute(
        update(Job)
        .where(*_held(lease))
        .values(
            state=JobState.QUEUED,
            # The reaper sends it: sent from here, RQ would end it together with this run.
            enqueued_at=None,
            lease_until=None,
            started_at=None,
            worker="",
            step="",
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        raise LeaseLost("This job was taken over, or its lease ran out.")
    job = work.session.get_one(Job, lease.job_id, populate_existing=True)
    if job.kind is JobKind.CAPTURE and job.snapshot is not None:
        move_snapshot(work, job.snapshot, SnapshotState.QUEUED, started_at=None)


def reap(work: Work) -> list[int]:
    """End the jobs whose lease ran out; their numbers. The caller commits."""
    expired = work.session.scalars(
        select(Job).where(Job.state == JobState.RUNNING, Job.lease_until < now())
    ).all()
    reaped = []
    for job in expired:
        lost = work.session.execute(
            update(Job)
            .where(
                Job.id == job.id,
                Job.fence == job.fence,
                Job.state == JobState.RUNNING,
                Job.lease_until < now(),
            )
            .values(state=JobState.LOST, ended_at=now(), lease_until=None, error=LOST)
            .execution_options(synchronize_session=False)
        )
        if lost.rowcount == 0:  # type: ignore[attr-defined]
            continue
        snapshot = (
            work.session.get(Snapshot, job.snapshot_id, populate_existing=True)
            if job.snapshot_id is not None
            else None
        )
        if snapshot is not None and snapshot.state in {
            SnapshotState.RUNNING,
            SnapshotState.DELETING,
        }:
            move_snapshot(work, snapshot, SnapshotState.BROKEN, error=LOST, finished_at=now())
        log.warning("lease ran out", job=job.id, worker=job.worker, snapshot=job.snapshot_id)
        reaped.append(job.id)
    return reaped


def resend(work: Work) -> list[int]:
    """Send again the queued jobs that Redis does not know; their numbers. The caller commits."""
    at = now()
    waiting = work.session.scalars(
        select(Job).where(Job.state == JobState.QUEUED, Job.created_at < at - _RESEND_AFTER)
    ).all()
    sent = []
    for job in waiting:
        if job.enqueued_at is not None and (
            job.enqueued_at > at - _RECHECK_AFTER or work.queue.waits(job.id)
        ):
            continue
        work.queue.send(job.kind, job.id, job.queue)
        job.enqueued_at = at
        sent.append(job.id)
        log.info("job sent again", job=job.id)
    return sent


def seen(work: Work, host: str) -> None:
    """Note that a host's worker lives."""
    record = work.session.get(Host, host)
    if record is None:
        work.session.add(Host(name=host, seen_at=now()))
    else:
        record.seen_at = now()


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (Job.id == lease.job_id, Job.fence == lease.fence, Job.state == JobState.RUNNING)
