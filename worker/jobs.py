"""What RQ calls, by name: a job's number in; claim it, do it, end it.

What must always hold:
- A number may arrive twice or late: only a claim that succeeds runs anything.
- Every end is told: done, failed (nothing left behind), broken (something may be), cancelled, or
  handed back. Only a lost lease ends in silence, since then the job is another's to speak for.
- What a person reads is one sentence; the log has the rest.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal.domain.errors import JobCancelled, JobInterrupted, LeaseLost, SnapportError
from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Job, Snapshot, SnapshotFile
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.services import leases
from portal.services.moves import move_snapshot
from portal.services.stores import open_store_of
from portal.settings import Settings
from portal.work import Runtime
from worker import capture as capturing
from worker import inspect as inspecting
from worker.heartbeat import Heartbeat
from worker.steps import Step
from worker.sweep import remove_snapshot

if TYPE_CHECKING:
    from portal.services.leases import Lease

log = structlog.get_logger()

_UNEXPECTED = "Something unexpected went wrong; support can find it in the log."
_DATABASE = "The database could not be reached."


def capture(job_id: int) -> None:
    """RQ's entry: take a snapshot."""
    with closing(Runtime.open(Settings())) as runtime:
        run_capture(runtime, job_id)


def delete(job_id: int) -> None:
    """RQ's entry: delete a snapshot."""
    with closing(Runtime.open(Settings())) as runtime:
        run_delete(runtime, job_id)


def inspect(job_id: int) -> None:
    """RQ's entry: look at a server's disks."""
    with closing(Runtime.open(Settings())) as runtime:
        run_inspect(runtime, job_id)


def run_capture(runtime: Runtime, job_id: int) -> None:
    """Take the snapshot of this job, if it is there to be taken."""
    lease, snapshot_id = _claim_of_snapshot(runtime, job_id)
    if lease is None:
        return
    with Heartbeat(runtime, lease) as heartbeat:
        _interrupt_on_sigterm(heartbeat)
        try:
            capturing.capture(runtime, snapshot_id, heartbeat)
            _finish_capture(runtime, lease, snapshot_id)
        except LeaseLost as lost:
            log.error("lease lost", job=job_id, reason=str(lost))
        except JobInterrupted:
            _hand_back(runtime, lease)
        except JobCancelled:
            _give_up(runtime, lease, heartbeat, snapshot_id, cancelled=True, error=None)
        except Exception as error:  # noqa: BLE001  # every end is told
            _give_up(
                runtime,
                lease,
                heartbeat,
                snapshot_id,
                cancelled=False,
                error=_sentence(job_id, error),
            )


def run_delete(runtime: Runtime, job_id: int) -> None:
    """Delete the snapshot of this job."""
    lease, snapshot_id = _claim_of_snapshot(runtime, job_id)
    if lease is None:
        return
    with Heartbeat(runtime, lease) as heartbeat:
        _interrupt_on_sigterm(heartbeat)
        try:
            _remove(runtime, heartbeat, snapshot_id)
            _end(runtime, lease, snapshot_id, JobState.DONE, SnapshotState.GONE, None)
        except LeaseLost as lost:
            log.error("lease lost", job=job_id, reason=str(lost))
        except JobInterrupted:
            _hand_back(runtime, lease)
        except Exception as error:  # noqa: BLE001  # every end is told
            why = f"Not all of it could be deleted. {_sentence(job_id, error)}"
            _end(runtime, lease, snapshot_id, JobState.FAILED, SnapshotState.BROKEN, why)


def run_inspect(runtime: Runtime, job_id: int) -> None:
    """Look at the disks of this job's server."""
    lease = _claim(runtime, job_id)
    if lease is None:
        return
    with Heartbeat(runtime, lease) as heartbeat:
        _interrupt_on_sigterm(heartbeat)
        try:
            with runtime.work() as work:
                server_id = work.session.get_one(Job, job_id).server_id
            inspecting.inspect(runtime, server_id, heartbeat)
            _end_job(runtime, lease, JobState.DONE)
        except LeaseLost as lost:
            log.error("lease lost", job=job_id, reason=str(lost))
        except JobInterrupted:
            _hand_back(runtime, lease)
        except Exception as error:  # noqa: BLE001  # every end is told
            _end_job(runtime, lease, JobState.FAILED, error=_sentence(job_id, error))


def _claim(runtime: Runtime, job_id: int) -> Lease | None:
    worker = f"{socket.gethostname()}:{os.getpid()}"
    with runtime.work() as work:
        lease = leases.claim(work, job_id, worker)
        work.commit()
    if lease is None:
        log.info("job is not to be run", job=job_id)
        return None
    log.info("job begins", job=job_id)
    return lease


def _claim_of_snapshot(runtime: Runtime, job_id: int) -> tuple[Lease | None, int]:
    lease = _claim(runtime, job_id)
    with runtime.work() as work:
        snapshot_id = work.session.scalar(select(Job.snapshot_id).where(Job.id == job_id))
    return lease, snapshot_id or 0


def _end_job(runtime: Runtime, lease: Lease, state: JobState, *, error: str | None = None) -> None:
    try:
        with runtime.work() as work:
            leases.end(work, lease, state, error=error)
            work.commit()
    except (LeaseLost, SQLAlchemyError) as trouble:
        # The reaper says it instead, when the lease runs out.
        log.error("end not told", job=lease.job_id, state=state, reason=str(trouble))


def _interrupt_on_sigterm(heartbeat: Heartbeat) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: heartbeat.interrupt())


def _finish_capture(runtime: Runtime, lease: Lease, snapshot_id: int) -> None:
    with runtime.work() as work:
        sizes = work.session.scalars(
            select(SnapshotFile.size).where(
                SnapshotFile.snapshot_id == snapshot_id, SnapshotFile.role == FileRole.IMAGE
            )
        ).all()  # an open cursor would hold SQLite's view of before, and the update would fail
        leases.end(work, lease, JobState.DONE)
        move_snapshot(
            work,
            work.session.get_one(Snapshot, snapshot_id),
            SnapshotState.DONE,
            size=sum(size or 0 for size in sizes),
            finished_at=now(),
        )
        work.commit()
    log.info("job done", job=lease.job_id, snapshot=snapshot_id)


def _hand_back(runtime: Runtime, lease: Lease) -> None:
    try:
        with runtime.work() as work:
            leases.hand_back(work, lease)
            work.commit()
    except (LeaseLost, SQLAlchemyError) as error:
        log.warning("job not handed back", job=lease.job_id, reason=str(error))
        return
    log.info("job handed back", job=lease.job_id)


def _give_up(
    runtime: Runtime,
    lease: Lease,
    heartbeat: Heartbeat,
    snapshot_id: int,
    *,
    cancelled: bool,
    error: str | None,
) -> None:
    """Clear up what was stored, and say how it ended: broken where that did not succeed."""
    state = JobState.CANCELLED if cancelled else JobState.FAILED
    then = SnapshotState.CANCELLED if cancelled else SnapshotState.FAILED
    try:
        heartbeat.clear_up(Step.CLEARING)
        _remove(runtime, heartbeat, snapshot_id)
    except LeaseLost as lost:
        log.error("lease lost", job=lease.job_id, reason=str(lost))
        return
    except Exception as trouble:  # noqa: BLE001  # every end is told
        log.warning("not cleared up", job=lease.job_id, reason=str(trouble))
        then = SnapshotState.BROKEN
        left = "Some files may be left behind in the store."
        error = f"{error or 'The snapshot was cancelled.'} {left}"
    _end(runtime, lease, snapshot_id, state, then, error)


def _remove(runtime: Runtime, heartbeat: Heartbeat, snapshot_id: int) -> None:
    with runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, snapshot_id)
        store = open_store_of(work, snapshot.store)
    with closing(store):
        remove_snapshot(runtime, store, snapshot, heartbeat)


def _end(
    runtime: Runtime,
    lease: Lease,
    snapshot_id: int,
    state: JobState,
    then: SnapshotState,
    error: str | None,
) -> None:
    try:
        with runtime.work() as work:
            leases.end(work, lease, state, error=error)
            snapshot = work.session.get_one(Snapshot, snapshot_id)
            move_snapshot(work, snapshot, then, error=error, finished_at=now())
            work.commit()
    except (LeaseLost, SQLAlchemyError) as trouble:
        # The reaper says it instead, when the lease runs out.
        log.error("end not told", job=lease.job_id, state=state, reason=str(trouble))
        return
    log.info("job ended", job=lease.job_id, snapshot=snapshot_id, state=then, error=error)


def _sentence(job_id: int, error: Exception) -> str:
    if isinstance(error, SnapportError):
        log.warning("job failed", job=job_id, reason=str(error), cause=repr(error.__cause__))
        return error.message
    log.error("job failed", job=job_id, exc_info=error)
    return _DATABASE if isinstance(error, SQLAlchemyError) else _UNEXPECTED
