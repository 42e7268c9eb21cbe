"""Downloads: an address for a file of a complete snapshot, and its README to read.

What must always hold: links are made only for files that the snapshot names and the actor may
see, only while the snapshot is complete, and they expire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.errors import Conflict, NotFound, ObjectMissing
from portal.domain.lifecycle import SnapshotState
from portal.records import Snapshot, SnapshotFile
from portal.records.file import FileRole
from portal.services.stores import open_store_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.work import Work

LINK_SECONDS = 24 * 3600
"""Long enough for a big file on a slow line: a download that has begun is never cut."""
_README_BYTES = 256 * 1024


def files(work: Work, snapshot: Snapshot) -> Sequence[SnapshotFile]:
    """The files that people see, in order: images, snapshot.json, README.txt."""
    return work.session.scalars(
        select(SnapshotFile)
        .where(SnapshotFile.snapshot_id == snapshot.id, SnapshotFile.role != FileRole.PIECE)
        .order_by(SnapshotFile.id)
    ).all()


def find_file(work: Work, snapshot: Snapshot, label: str) -> SnapshotFile:
    """The file of this name, or `NotFound`. The snapshot was loaded for the actor."""
    for file in files(work, snapshot):
        if file.label == label:
            return file
    raise NotFound("There is no such file in this snapshot.")


def link(work: Work, snapshot: Snapshot, file: SnapshotFile) -> str:
    """An address that downloads the file; anybody who has it can, for `LINK_SECONDS`."""
    _require_complete(snapshot)
    store = open_store_of(work, snapshot.store, hurry=True)
    try:
        return store.temp_url(file.name, filename=file.label, seconds=LINK_SECONDS)
    finally:
        store.close()


def readme(work: Work, snapshot: Snapshot) -> str:
    """The text of README.txt, from the store itself."""
    _require_complete(snapshot)
    file = next((f for f in files(work, snapshot) if f.role is FileRole.README), None)
    if file is None:
        raise NotFound("This snapshot has no README.txt.")
    store = open_store_of(work, snapshot.store, hurry=True)
    try:
        content = b"".join(store.get(file.name, length=min(file.size or 0, _README_BYTES)))
    except ObjectMissing as error:
        raise NotFound("README.txt is no longer in the store.") from error
    finally:
        store.close()
    return content.decode(errors="replace")


def _require_complete(snapshot: Snapshot) -> None:
    if snapshot.state is not SnapshotState.DONE:
        raise Conflict("Only a finished snapshot can be downloaded.")
