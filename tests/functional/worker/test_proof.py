"""Reading a file back from the store: what it says of whole files, and of damaged ones."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from portal.domain.errors import ObjectDamaged, StoreError
from portal.domain.names import part_name
from portal.records import FilePart, Part, SnapshotFile
from portal.records.file import FileRole
from portal.services import leases
from worker.heartbeat import Heartbeat
from worker.proof import read_back

if TYPE_CHECKING:
    from portal.records import Snapshot
    from tests.functional.worker.house import House
    from worker.proof import Proven

WORTH = 1000


class Counted(Heartbeat):
    """A heartbeat that never beats, and remembers what was counted."""

    def __init__(self, house: House) -> None:
        super().__init__(house.runtime, leases.Lease(0, 0))
        self.counted = 0

    def count(self, *, done: int = 0, sent: int = 0) -> None:
        self.counted += done + sent


def image_of(house: House, snapshot: Snapshot) -> SnapshotFile:
    with house.runtime.work() as work:
        return work.session.scalars(
            select(SnapshotFile).where(
                SnapshotFile.snapshot_id == snapshot.id, SnapshotFile.role == FileRole.IMAGE
            )
        ).one()


def prove(house: House, file: SnapshotFile, heartbeat: Counted) -> Proven:
    with closing(house.open()) as store:
        return read_back(house.runtime, store, heartbeat, file, worth=WORTH)


def test_a_whole_file_has_its_hashes(house: House) -> None:
    file = image_of(house, house.done())
    heartbeat = Counted(house)
    proven = prove(house, file, heartbeat)
    assert (proven.md5, proven.sha256) == (file.md5, file.sha256)
    assert heartbeat.counted == WORTH


def test_a_part_that_changed_in_the_store_is_found(sqlite_house: House) -> None:
    """Same size, other bytes, put behind the manifest's back."""
    file = image_of(sqlite_house, sqlite_house.done())
    part = sqlite_house.parts()[1]
    other = bytes(part.size)
    with closing(sqlite_house.open()) as store:
        store.put(
            part_name(sqlite_house.server.folder, part.sha256),
            other,
            md5=hashlib.md5(other, usedforsecurity=False).hexdigest(),
            content_type="application/octet-stream",
        )
    with pytest.raises(StoreError):
        prove(sqlite_house, file, Counted(sqlite_house))


def test_bytes_that_differ_from_what_was_made_are_found(sqlite_house: House) -> None:
    """Whatever the store says of itself."""
    file = image_of(sqlite_house, sqlite_house.done())
    with sqlite_house.runtime.work() as work:
        part = work.session.scalars(select(Part)).all()[1]
        part.sha256 = "0" * 64
        work.commit()
    with pytest.raises(ObjectDamaged, match="differs from what was sent"):
        prove(sqlite_house, file, Counted(sqlite_house))


@pytest.mark.parametrize("parts", [-1, 1])
def test_a_file_of_another_length_is_found(sqlite_house: House, parts: int) -> None:
    file = image_of(sqlite_house, sqlite_house.done())
    with sqlite_house.runtime.work() as work:
        places = work.session.scalars(
            select(FilePart).where(FilePart.file_id == file.id).order_by(FilePart.position)
        ).all()
        last = places[-1]
        if parts < 0:
            work.session.delete(last)
        else:
            values = {"part_id": last.part_id, "source_offset": 0, "source_length": 0}
            work.session.add(FilePart(file_id=file.id, position=len(places), **values))
        work.commit()
    with pytest.raises(ObjectDamaged):
        prove(sqlite_house, file, Counted(sqlite_house))
