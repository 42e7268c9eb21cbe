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

from portal.domain.errors import StoreError
from portal.domain.lifecycle import SnapshotState
from portal.records import Snapshot, SnapshotFile
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.services.moves import move_snapshot
from portal.services.stores import open_store_of

if TYPE_CHECKING:
    from portal.work import Work

log = structlog.get_logger()


def settle(work: Work) -> list[int]:
    """Decide what can be decided; the numbers of the snapshots that turned out complete.

    Only broken snapshots are looked at: their workers no longer write. The caller commits.
    """
    undecided = work.session.execute(
        select(Snapshot, SnapshotFile)
        .join(SnapshotFile, SnapshotFile.snapshot_id == Snapshot.id)
        .where(Snapshot.state == SnapshotState.BROKEN, SnapshotFile.role == FileRole.README)
    ).all()
    complete = []
    for snapshot, readme in undecided:
        try:
            stands = _stands(work, snapshot, readme)
        except StoreError as error:
            log.warning("README.txt not looked up", snapshot=snapshot.id, reason=str(error))
            continue
        if stands:
            readme.stored = True
            images = work.session.scalars(
                select(SnapshotFile.size).where(
                    SnapshotFile.snapshot_id == snapshot.id, SnapshotFile.role == FileRole.IMAGE
                )
            )
            move_snapshot(
                work,
                snapshot,
                SnapshotState.DONE,
                error=None,
                finished_at=snapshot.finished_at or now(),
                size=sum(size or 0 for size in images),
            )
            complete.append(snapshot.id)
        else:
            work.session.delete(readme)
    return complete


def _stands(work: Work, snapshot: Snapshot, readme: SnapshotFile) -> bool:
    store = open_store_of(work, snapshot.store)
    try:
        there = store.head(readme.name)
    finally:
        store.close()
    return there is not None and there.size == readme.size and there.etag == readme.md5
