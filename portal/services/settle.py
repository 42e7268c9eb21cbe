"""Settling what a dead worker left undecided: does README.txt stand, or not?

What must always hold: a snapshot is complete exactly when its README.txt stands. A worker that
died between storing it and saying so leaves a record of it that the store has not confirmed: the
store is asked, until it answers. README.txt is the last thing stored, after everything it speaks of
was confirmed, so that finding it proves the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from portal.domain.lifecycle import SnapshotState
from portal.records import Snapshot, SnapshotFile
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.services.moves import move_snapshot
from portal.services.stores import open_store_of

if TYPE_CHECKING:
    from portal.work import Work

log = structlog.get_logger()


def undecided(work: Work) -> list[int]:
    """The broken snapshots with a README.txt that the store has not confirmed; their numbers.

    Only broken ones are looked at: their workers no longer write.
    """
    return list(
        work.session.scalars(
            select(Snapshot.id)
            .join(SnapshotFile, SnapshotFile.snapshot_id == Snapshot.id)
            .where(Snapshot.state == SnapshotState.BROKEN, SnapshotFile.role == FileRole.README)
            .order_by(Snapshot.id)
        )
    )


def settle(work: Work, snapshot_id: int) -> bool:
    """Whether this undecided snapshot turned out complete. The caller commits, one at a time.

    A store that is away is asked for minutes: nothing is written before it answered, so that
    nobody waits for a lock meanwhile. Raises `StoreError`.
    """
    session = work.session
    snapshot = session.get_one(Snapshot, snapshot_id)
    readme = session.scalar(
        select(SnapshotFile).where(
            SnapshotFile.snapshot_id == snapshot_id, SnapshotFile.role == FileRole.README
        )
    )
    if snapshot.state is not SnapshotState.BROKEN or readme is None:
        return False
    if not _stands(work, snapshot, readme):
        session.delete(readme)
        session.flush()
        return False
    images = session.scalars(
        select(SnapshotFile.size).where(
            SnapshotFile.snapshot_id == snapshot.id, SnapshotFile.role == FileRole.IMAGE
        )
    ).all()
    readme.stored = True
    move_snapshot(
        work,
        snapshot,
        SnapshotState.DONE,
        error=None,
        finished_at=snapshot.finished_at or now(),
        size=sum(size or 0 for size in images),
    )
    log.info("README.txt stands: the snapshot is complete", snapshot=snapshot_id)
    return True


def _stands(work: Work, snapshot: Snapshot, readme: SnapshotFile) -> bool:
    store = open_store_of(work, snapshot.store)
    try:
        there = store.head(readme.name)
    finally:
        store.close()
    return there is not None and there.size == readme.size and there.etag == readme.md5
