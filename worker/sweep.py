"""Deleting: a snapshot's files, and the parts that no snapshot needs any more.

What must always hold:
- README.txt first: from then on the snapshot is not complete, whatever happens next.
- Then its manifests and index, then the parts that no complete or running snapshot of the server
  names. Never a manifest together with its parts.
- The store first, the records after: a crash between leaves a record, and the deletion is repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Exists, and_, delete, exists, or_, select
from sqlalchemy.orm import aliased

from portal.domain.lifecycle import SnapshotState
from portal.domain.names import README, part_name
from portal.records import FilePart, Part, Snapshot, SnapshotFile
from portal.records.file import FileRole
from worker.steps import Step

if TYPE_CHECKING:
    from portal.stores.interface import Store
    from portal.work import Runtime
    from worker.heartbeat import Heartbeat

_BATCH = 500

_KEEPING = (SnapshotState.DONE, SnapshotState.RUNNING, SnapshotState.QUEUED)


def remove_snapshot(
    runtime: Runtime, store: Store, snapshot: Snapshot, heartbeat: Heartbeat
) -> None:
    """Delete everything of this snapshot that no other needs. Safe to repeat."""
    heartbeat.at(Step.REMOVING)
    store.delete(f"{snapshot.folder}/{README}")
    _forget_readme(runtime, snapshot)
    recorded = _recorded(runtime, snapshot)
    # What another installation or a lost database left in this folder goes with it.
    listed = [item.name for item in store.list(f"{snapshot.folder}/")]
    store.delete_many(dict.fromkeys([*recorded, *listed]))
    heartbeat.at(Step.SWEEPING)
    _forget_files(runtime, snapshot)
    sweep_parts(runtime, store, snapshot, heartbeat)


def sweep_parts(runtime: Runtime, store: Store, snapshot: Snapshot, heartbeat: Heartbeat) -> int:
    """Delete the parts of this snapshot's server that nothing keeps; how many."""
    swept = 0
    while True:
        heartbeat.check()
        with runtime.work() as work:
            unkept = work.session.execute(
                select(Part.id, Part.sha256)
                .where(
                    Part.store_id == snapshot.store_id,
                    Part.folder == snapshot.server.folder,
                    ~_kept(),
                )
                .limit(_BATCH)
            ).all()
        if not unkept:
            return swept
        store.delete_many(part_name(snapshot.server.folder, row.sha256) for row in unkept)
        numbers = [row.id for row in unkept]
        with runtime.work() as work:
            # Broken snapshots may name them still; they are of no use to those.
            work.session.execute(delete(FilePart).where(FilePart.part_id.in_(numbers)))
            work.session.execute(delete(Part).where(Part.id.in_(numbers)))
            work.commit()
        swept += len(numbers)


def _kept() -> Exists:
    """Named by a snapshot that is complete or being made, or whose README.txt may yet stand.

    The last: its worker died between storing README.txt and saying so; until the store was asked
    (`portal.services.settle`) it counts as complete.
    """
    readme = aliased(SnapshotFile)
    may_stand = (
        exists()
        .where(readme.snapshot_id == Snapshot.id)
        .where(readme.role == FileRole.README)
        .correlate(Snapshot)
    )
    return (
        exists()
        .where(FilePart.part_id == Part.id)
        .where(SnapshotFile.id == FilePart.file_id)
        .where(Snapshot.id == SnapshotFile.snapshot_id)
        .where(
            or_(
                Snapshot.state.in_(_KEEPING),
                and_(Snapshot.state == SnapshotState.BROKEN, may_stand),
            )
        )
        .correlate(Part)
    )


def _recorded(runtime: Runtime, snapshot: Snapshot) -> list[str]:
    with runtime.work() as work:
        return list(
            work.session.scalars(
                select(SnapshotFile.name).where(SnapshotFile.snapshot_id == snapshot.id)
            )
        )


def _forget_readme(runtime: Runtime, snapshot: Snapshot) -> None:
    with runtime.work() as work:
        work.session.execute(
            delete(SnapshotFile).where(
                SnapshotFile.snapshot_id == snapshot.id, SnapshotFile.role == FileRole.README
            )
        )
        work.commit()


def _forget_files(runtime: Runtime, snapshot: Snapshot) -> None:
    with runtime.work() as work:
        mine = select(SnapshotFile.id).where(SnapshotFile.snapshot_id == snapshot.id)
        work.session.execute(delete(FilePart).where(FilePart.file_id.in_(mine)))
        work.session.execute(delete(SnapshotFile).where(SnapshotFile.snapshot_id == snapshot.id))
        work.commit()
