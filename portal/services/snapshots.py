"""Snapshots: take, cancel, delete, and the history.

What must always hold: an active job that writes excludes every other for its server; the database
enforces it, and a question asked first only makes for a better sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from portal.domain import exclusions
from portal.domain.errors import Conflict, InvalidInput, NotFound
from portal.domain.kinds import FACTS, Kind
from portal.domain.lifecycle import (
    ACTIVE_JOBS,
    ACTIVE_SNAPSHOTS,
    JobKind,
    JobState,
    SnapshotState,
)
from portal.domain.names import time_folder
from portal.domain.options import Options
from portal.queue import ANYWHERE, host_queue
from portal.records import Account, Job, Server, Snapshot, StoreRecord
from portal.records.declarative import now
from portal.services.authority import Actor, own_snapshots
from portal.services.moves import move_snapshot
from portal.services.offers import reason_against, reason_against_export

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from portal.work import Work

log = structlog.get_logger()

HISTORY_PAGE = 50
_DEFAULTS = Options()


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """A snapshot with the job that works on it now, if one does."""

    snapshot: Snapshot
    job: Job | None


def take(
    work: Work,
    actor: Actor,
    server: Server,
    store: StoreRecord,
    kind: str,
    *,
    options: Options = _DEFAULTS,
) -> Snapshot:
    """Ask for a snapshot. `server` and `store` were loaded for this actor.

    Raises `Conflict` while another job is active for the server, `InvalidInput` for an unknown
    kind and for one that does not fit, `NotFound` where the store is not the server's account's.
    """
    if kind not in set(Kind):
        known = ", ".join(Kind)
        raise InvalidInput(f"“{kind}” is no image type; there are: {known}.", field="kind")
    _check_choices(server, Kind(kind), options)
    if store.account_id != server.account_id:
        raise NotFound("There is no such store.")
    if active_job(work, server) is not None:
        raise _busy(server)
    snapshot = Snapshot(
        server_id=server.id,
        store_id=store.id,
        kind=Kind(kind),
        state=SnapshotState.QUEUED,
        folder=_fresh_folder(work, server, store),
        options=options.as_text(),
        requested_by_id=actor.user_id,
    )
    _add(work, snapshot, server, queue=host_queue(server.host_name))
    log.info("snapshot asked for", snapshot=snapshot.id, server=server.id, actor=actor.user_id)
    return snapshot


def export(
    work: Work, actor: Actor, origin: Snapshot, kind: str, *, options: Options = _DEFAULTS
) -> Snapshot:
    """Ask for an export of a stored raw snapshot; the server is not touched. It goes beside it.

    Raises `InvalidInput` for what is no export and for a disk that cannot become one, `Conflict`
    for a snapshot that is not complete or not raw, and while another job is active for the server.
    """
    if kind not in set(Kind) or not FACTS[Kind(kind)].export:
        known = ", ".join(one for one, facts in FACTS.items() if facts.export)
        raise InvalidInput(f"“{kind}” is no export; there are: {known}.", field="kind")
    if origin.kind is not Kind.RAW or origin.state is not SnapshotState.DONE:
        raise Conflict("Only a raw snapshot that is complete can be exported.")
    reason = reason_against_export(origin, Kind(kind))
    if reason is not None:
        raise InvalidInput(reason, field="kind")
    server = origin.server
    if active_job(work, server) is not None:
        raise _busy(server)
    snapshot = Snapshot(
        server_id=server.id,
        store_id=origin.store_id,
        kind=Kind(kind),
        state=SnapshotState.QUEUED,
        folder=_fresh_folder(work, server, origin.store),
        options=options.as_text(),
        origin_id=origin.id,
        requested_by_id=actor.user_id,
    )
    _add(work, snapshot, server, queue=ANYWHERE)
    log.info("export asked for", snapshot=snapshot.id, origin=origin.id, actor=actor.user_id)
    return snapshot


def cancel(work: Work, actor: Actor, snapshot: Snapshot) -> None:
    """Cancel: at once while it waits, as soon as its job looks (a second) while it runs."""
    session = work.session
    job = session.scalar(
        select(Job).where(
            Job.snapshot_id == snapshot.id, Job.kind == JobKind.CAPTURE, Job.state.in_(ACTIVE_JOBS)
        )
    )
    if job is None or snapshot.state not in ACTIVE_SNAPSHOTS:
        raise Conflict("This snapshot is not running, so there is nothing to cancel.")
    at = now()
    never_ran = session.execute(
        update(Job)
        .where(Job.id == job.id, Job.state == JobState.QUEUED)
        .values(state=JobState.CANCELLED, cancel_requested_at=at, ended_at=at)
        .execution_options(synchronize_session=False)
    )
    if never_ran.rowcount:  # type: ignore[attr-defined]
        session.refresh(snapshot)
        move_snapshot(work, snapshot, SnapshotState.CANCELLED, finished_at=at)
    else:
        session.execute(
            update(Job)
            .where(
                Job.id == job.id, Job.state == JobState.RUNNING, Job.cancel_requested_at.is_(None)
            )
            .values(cancel_requested_at=at)
            .execution_options(synchronize_session=False)
        )
    session.refresh(job)
    log.info("cancel asked for", snapshot=snapshot.id, actor=actor.user_id)


def delete(work: Work, actor: Actor, snapshot: Snapshot) -> None:
    """Delete a snapshot: from the store by a job, or only from the list where nothing is stored."""
    if snapshot.state in ACTIVE_SNAPSHOTS:
        raise Conflict("This snapshot is still being taken: cancel it first.")
    if snapshot.state in {SnapshotState.DELETING, SnapshotState.GONE}:
        raise Conflict("This snapshot is already being deleted.")
    if snapshot.state in {SnapshotState.FAILED, SnapshotState.CANCELLED}:
        move_snapshot(work, snapshot, SnapshotState.GONE)
        return
    if active_job(work, snapshot.server) is not None:
        raise _busy(snapshot.server)
    try:
        move_snapshot(work, snapshot, SnapshotState.DELETING, error=None)
        _add_job(work, JobKind.DELETE, snapshot, ANYWHERE)
    except IntegrityError as error:
        work.session.rollback()
        raise _busy(snapshot.server) from error
    log.info("delete asked for", snapshot=snapshot.id, actor=actor.user_id)


def active_job(work: Work, server: Server) -> Job | None:
    """The job that writes for this server now, if one does."""
    return work.session.scalar(
        select(Job).where(Job.server_id == server.id, Job.writes, Job.state.in_(ACTIVE_JOBS))
    )


def history(
    work: Work,
    actor: Actor,
    server: Server,
    *,
    before: int | None = None,
    limit: int = HISTORY_PAGE,
) -> Sequence[HistoryLine]:
    """The server's snapshots, newest first; `before` a snapshot's number pages on."""
    query = own_snapshots(actor).where(
        Snapshot.server_id == server.id, Snapshot.state != SnapshotState.GONE
    )
    if before is not None:
        query = query.where(Snapshot.id < before)
    found = work.session.scalars(query.limit(limit)).all()
    return _with_jobs(work, found)


def since(
    work: Work, actor: Actor, server: Server, shown: Collection[int]
) -> tuple[dict[int, HistoryLine], Sequence[HistoryLine]]:
    """What became of the snapshots that somebody looks at, and those newer than all of them.

    A snapshot that was deleted is missing in the first.
    """
    query = own_snapshots(actor).where(
        Snapshot.server_id == server.id, Snapshot.state != SnapshotState.GONE
    )
    present = work.session.scalars(query.where(Snapshot.id.in_(shown))).all()
    newer = work.session.scalars(
        query.where(Snapshot.id > max(shown, default=0)).limit(HISTORY_PAGE)
    ).all()
    lines = {line.snapshot.id: line for line in _with_jobs(work, present)}
    return lines, _with_jobs(work, newer)


def list_snapshots(
    work: Work,
    actor: Actor,
    *,
    account: Account | None = None,
    server: Server | None = None,
    states: Collection[SnapshotState] = (),
    limit: int = 1000,
) -> Sequence[HistoryLine]:
    """The snapshots that the actor may see, newest first; of an account or server, in these states.

    Those that are gone only where that state is asked for.
    """
    query = own_snapshots(actor)
    if account is not None:
        query = query.where(Server.account_id == account.id)
    if server is not None:
        query = query.where(Snapshot.server_id == server.id)
    wanted = set(states) or set(SnapshotState) - {SnapshotState.GONE}
    return _with_jobs(
        work, work.session.scalars(query.where(Snapshot.state.in_(wanted)).limit(limit)).all()
    )


def line_of(work: Work, snapshot: Snapshot) -> HistoryLine:
    """One snapshot with its job."""
    return _with_jobs(work, [snapshot])[0]


def count(work: Work, actor: Actor, server: Server) -> int:
    """How many snapshots the history holds."""
    query = own_snapshots(actor).where(
        Snapshot.server_id == server.id, Snapshot.state != SnapshotState.GONE
    )
    return (
        work.session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    )


def _with_jobs(work: Work, found: Sequence[Snapshot]) -> list[HistoryLine]:
    jobs = {
        job.snapshot_id: job
        for job in work.session.scalars(
            select(Job).where(
                Job.snapshot_id.in_([snapshot.id for snapshot in found]),
                Job.state.in_(ACTIVE_JOBS),
            )
        )
    }
    return [HistoryLine(snapshot, jobs.get(snapshot.id)) for snapshot in found]


def _add(work: Work, snapshot: Snapshot, server: Server, *, queue: str) -> None:
    """Add the snapshot and its job. Raises `Conflict` where somebody else was first."""
    session = work.session
    session.add(snapshot)
    try:
        session.flush()
        _add_job(work, JobKind.CAPTURE, snapshot, queue)
    except IntegrityError as error:
        session.rollback()
        raise _busy(server) from error
    session.refresh(snapshot)


def _add_job(work: Work, kind: JobKind, snapshot: Snapshot, queue: str) -> Job:
    job = Job(
        kind=kind,
        state=JobState.QUEUED,
        server_id=snapshot.server_id,
        snapshot_id=snapshot.id,
        queue=queue,
    )
    work.session.add(job)
    work.session.flush()
    work.send_after_commit(job)
    return job


def _fresh_folder(work: Work, server: Server, store: StoreRecord) -> str:
    """The folder of this second, or of the next that no snapshot has: it never holds two."""
    at = now()
    while True:
        folder = f"{server.folder}/{time_folder(at)}"
        taken = select(Snapshot.id).where(Snapshot.store_id == store.id, Snapshot.folder == folder)
        if work.session.scalar(taken) is None:
            return folder
        at += timedelta(seconds=1)


def _check_choices(server: Server, kind: Kind, options: Options) -> None:
    """Raise `InvalidInput` for what is known not to work, before anything is asked of a worker."""
    reason = reason_against(server, kind)
    if reason is not None:
        raise InvalidInput(f"{reason} Take a raw snapshot instead.", field="kind")
    exclusions.check(options.exclude)


def _busy(server: Server) -> Conflict:
    return Conflict(
        f"Another job is active for “{server.name}”: wait until it has ended, or cancel it."
    )
