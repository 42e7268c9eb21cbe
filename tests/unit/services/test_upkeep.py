"""What the reaper does: settling, outages, and ending in time."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from portal.domain.errors import StoreUnreachable
from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Job, Snapshot, SnapshotFile
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.services import leases, snapshots, stores, upkeep
from portal.services.authority import Actor, load_snapshot
from portal.services.settle import undecided
from portal.stores.memory import MemoryStore

if TYPE_CHECKING:
    from portal.work import Runtime
    from tests.unit.services.conftest import Customer

SUPPORT = Actor.support()
README = b"A snapshot of web-1.\n"


def _left_undecided(runtime: Runtime, ours: Customer, *, stored: bytes | None) -> int:
    """A snapshot whose worker died around storing README.txt."""
    with runtime.work() as work:
        snapshot = snapshots.take(work, ours.actor, ours.server, ours.store, "raw")
        work.commit()
        assert leases.claim(work, snapshot.jobs[0].id, "kvm-1:42") is not None
        for role, name, content in (
            (FileRole.IMAGE, "web-1.raw.gz", b"x" * 1000),
            (FileRole.README, "README.txt", README),
        ):
            work.session.add(
                SnapshotFile(
                    snapshot_id=snapshot.id,
                    role=role,
                    name=f"{snapshot.folder}/{name}",
                    size=len(content),
                    md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
                )
            )
        work.session.execute(update(Job).values(lease_until=now() - timedelta(seconds=1)))
        work.commit()
        if stored is not None:
            store = stores.open_store_of(work, ours.store)
            md5 = hashlib.md5(stored, usedforsecurity=False).hexdigest()
            store.put(f"{snapshot.folder}/README.txt", stored, md5=md5, content_type="text/plain")
        return snapshot.id


def test_a_readme_that_stands_makes_the_snapshot_complete(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _left_undecided(runtime, ours, stored=README)
    assert len(upkeep.reap(runtime)) == 1
    with runtime.work() as work:
        assert load_snapshot(work, SUPPORT, snapshot_id).state is SnapshotState.BROKEN
    assert upkeep.settle_all(runtime) == [snapshot_id]
    with runtime.work() as work:
        snapshot = load_snapshot(work, SUPPORT, snapshot_id)
        assert (snapshot.state, snapshot.error, snapshot.size) == (SnapshotState.DONE, None, 1000)
        assert undecided(work) == []
    assert upkeep.settle_all(runtime) == []


@pytest.mark.parametrize("stored", [None, README[:-1], README.upper()])
def test_without_its_own_readme_it_stays_broken(
    runtime: Runtime, ours: Customer, stored: bytes | None
) -> None:
    snapshot_id = _left_undecided(runtime, ours, stored=stored)
    upkeep.reap(runtime)
    assert upkeep.settle_all(runtime) == []
    with runtime.work() as work:
        assert load_snapshot(work, SUPPORT, snapshot_id).state is SnapshotState.BROKEN
        assert undecided(work) == []


def test_a_store_that_is_away_decides_nothing_and_holds_up_nobody(
    runtime: Runtime, ours: Customer, theirs: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = _left_undecided(runtime, ours, stored=README)
    found = _left_undecided(runtime, theirs, stored=README)
    upkeep.reap(runtime)
    head = MemoryStore.head
    locked = []

    def away(store: MemoryStore, name: str) -> object:
        if name.startswith(_folder(runtime, lost)) and store._inside is _inside(runtime, ours):
            with runtime.work() as work:  # while it is asked, others can write
                leases.seen(work, "kvm-1")
                work.commit()
                locked.append(False)
            raise StoreUnreachable("The store does not answer.")
        return head(store, name)

    monkeypatch.setattr(MemoryStore, "head", away)
    with pytest.raises(StoreUnreachable):
        upkeep.settle_all(runtime)
    assert locked == [False]
    with runtime.work() as work:
        assert load_snapshot(work, SUPPORT, lost).state is SnapshotState.BROKEN
        assert load_snapshot(work, SUPPORT, found).state is SnapshotState.DONE
        assert undecided(work) == [lost]
    monkeypatch.undo()
    assert upkeep.settle_all(runtime) == [lost]


def _folder(runtime: Runtime, snapshot_id: int) -> str:
    with runtime.work() as work:
        return load_snapshot(work, SUPPORT, snapshot_id).folder


def _inside(runtime: Runtime, of: Customer) -> object:
    with runtime.work() as work:
        store = stores.open_store_of(work, of.store)
        assert isinstance(store, MemoryStore)
        return store._inside


def test_it_outlives_an_outage_and_stops_when_asked(
    runtime: Runtime, ours: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _left_undecided(runtime, ours, stored=None)
    _put_database_away(runtime)
    fast = runtime.settings.model_copy(update={"reap_seconds": 0.05})
    object.__setattr__(runtime, "settings", fast)
    stop = threading.Event()
    upkeeping = threading.Thread(target=upkeep.keep_up, args=(runtime, stop))
    upkeeping.start()
    try:
        time.sleep(0.5)
        assert upkeeping.is_alive()
        _bring_database_back(runtime)
        deadline = time.monotonic() + 20
        while _job_state(runtime) is not JobState.LOST:
            assert time.monotonic() < deadline, "it did not notice"
            time.sleep(0.05)
    finally:
        stop.set()
        upkeeping.join(10)
    assert not upkeeping.is_alive()


def _job_state(runtime: Runtime) -> JobState:
    with runtime.work() as work:
        return work.session.scalars(select(Job.state)).one()


def _put_database_away(runtime: Runtime) -> None:
    with runtime.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO jobs_away")


def _bring_database_back(runtime: Runtime) -> None:
    with runtime.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs_away RENAME TO jobs")


def test_only_broken_snapshots_are_undecided(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _left_undecided(runtime, ours, stored=README)
    for state in SnapshotState:
        with runtime.work() as work:
            work.session.execute(
                update(Snapshot).where(Snapshot.id == snapshot_id).values(state=state)
            )
            work.commit()
            expected = [snapshot_id] if state is SnapshotState.BROKEN else []
            assert undecided(work) == expected
