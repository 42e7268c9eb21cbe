"""Downloads: only of complete snapshots, only of their own files, never a piece."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from portal.domain.errors import Conflict, NotFound
from portal.domain.lifecycle import SnapshotState
from portal.records import Snapshot, SnapshotFile
from portal.records.file import FileRole
from portal.services import downloads, snapshots, stores
from portal.services.authority import Actor, load_snapshot

if TYPE_CHECKING:
    from portal.work import Runtime
    from tests.unit.services.conftest import Customer

SUPPORT = Actor.support()
README = "Größe: 4 GiB\n".encode()


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """These rules are Python's: one database shows them."""
    return sqlite_url


def _done(runtime: Runtime, ours: Customer) -> int:
    with runtime.work() as work:
        snapshot = snapshots.take(work, ours.actor, ours.server, ours.store, "raw")
        work.session.flush()
        for role, name in (
            (FileRole.IMAGE, "web-1.raw.gz"),
            (FileRole.PIECE, ".manifest/web-1.raw.gz/1-000000"),
            (FileRole.INDEX, "snapshot.json"),
            (FileRole.README, "README.txt"),
        ):
            work.session.add(
                SnapshotFile(
                    snapshot_id=snapshot.id,
                    role=role,
                    name=f"{snapshot.folder}/{name}",
                    size=len(README),
                    stored=True,
                )
            )
        store = stores.open_store_of(work, ours.store)
        md5 = hashlib.md5(README, usedforsecurity=False).hexdigest()
        store.put(f"{snapshot.folder}/README.txt", README, md5=md5, content_type="text/plain")
        work.session.execute(update(Snapshot).values(state=SnapshotState.DONE))
        work.commit()
        return snapshot.id


def test_people_see_images_index_and_readme_in_order(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _done(runtime, ours)
    with runtime.work() as work:
        snapshot = load_snapshot(work, ours.actor, snapshot_id)
        labels = [file.label for file in downloads.files(work, snapshot)]
        assert labels == ["web-1.raw.gz", "snapshot.json", "README.txt"]
        assert downloads.readme(work, snapshot) == README.decode()
        file = downloads.find_file(work, snapshot, "web-1.raw.gz")
        assert snapshot.folder in downloads.link(work, snapshot, file)


@pytest.mark.parametrize(
    "label", ["1-000000", "../README.txt", "", "web-1.raw.gz/", ".part", "readme.TXT"]
)
def test_a_file_that_it_does_not_name_is_not_found(
    runtime: Runtime, ours: Customer, label: str
) -> None:
    snapshot_id = _done(runtime, ours)
    with runtime.work() as work:
        snapshot = load_snapshot(work, ours.actor, snapshot_id)
        with pytest.raises(NotFound):
            downloads.find_file(work, snapshot, label)


@pytest.mark.parametrize("state", [s for s in SnapshotState if s is not SnapshotState.DONE])
def test_nothing_incomplete_is_downloaded(
    runtime: Runtime, ours: Customer, state: SnapshotState
) -> None:
    snapshot_id = _done(runtime, ours)
    with runtime.work() as work:
        work.session.execute(update(Snapshot).values(state=state))
        work.commit()
    with runtime.work() as work:
        snapshot = load_snapshot(work, ours.actor, snapshot_id)
        file = downloads.find_file(work, snapshot, "web-1.raw.gz")
        with pytest.raises(Conflict):
            downloads.link(work, snapshot, file)
        with pytest.raises(Conflict):
            downloads.readme(work, snapshot)
