"""Take, cancel, delete: in every state, and two at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, update

from portal.domain.errors import Conflict, InvalidInput
from portal.domain.lifecycle import JobKind, JobState, SnapshotState
from portal.records import Job, Snapshot
from portal.services import leases, snapshots
from portal.services.authority import Actor, load_server, load_snapshot, load_store

if TYPE_CHECKING:
    from portal.work import Runtime
    from tests.unit.services.conftest import Customer

SUPPORT = Actor.support()


def _taken(runtime: Runtime, ours: Customer) -> int:
    with runtime.work() as work:
        snapshot = snapshots.take(work, ours.actor, ours.server, ours.store, "raw")
        work.commit()
        return snapshot.id


def _put(runtime: Runtime, ours: Customer, state: SnapshotState) -> int:
    """A snapshot in this state, with the job that it would have."""
    snapshot_id = _taken(runtime, ours)
    job_state = {
        SnapshotState.QUEUED: JobState.QUEUED,
        SnapshotState.RUNNING: JobState.RUNNING,
        SnapshotState.DONE: JobState.DONE,
        SnapshotState.FAILED: JobState.FAILED,
        SnapshotState.BROKEN: JobState.LOST,
        SnapshotState.CANCELLED: JobState.CANCELLED,
    }.get(state, JobState.DONE)
    with runtime.work() as work:
        work.session.execute(update(Snapshot).where(Snapshot.id == snapshot_id).values(state=state))
        work.session.execute(
            update(Job).where(Job.snapshot_id == snapshot_id).values(state=job_state)
        )
        work.commit()
    return snapshot_id


def _state(runtime: Runtime, snapshot_id: int) -> SnapshotState:
    with runtime.work() as work:
        return load_snapshot(work, SUPPORT, snapshot_id).state


def test_taking_records_a_snapshot_and_its_job(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _taken(runtime, ours)
    with runtime.work() as work:
        snapshot = load_snapshot(work, ours.actor, snapshot_id)
        assert snapshot.state is SnapshotState.QUEUED
        assert snapshot.requested_by_id == ours.user.id
        assert snapshot.folder.startswith("web-1/")
        (job,) = snapshot.jobs
        assert (job.kind, job.state, job.queue) == (
            JobKind.CAPTURE,
            JobState.QUEUED,
            "host:kvm-1",
        )
        assert job.enqueued_at is not None
        assert work.queue.waits(job.id)


def test_a_second_one_is_refused_while_one_is_active(runtime: Runtime, ours: Customer) -> None:
    for state in (SnapshotState.QUEUED, SnapshotState.RUNNING):
        snapshot_id = _put(runtime, ours, state)
        with pytest.raises(Conflict, match="web-1"):
            _taken(runtime, ours)
        with runtime.work() as work:
            work.session.execute(
                update(Job).where(Job.snapshot_id == snapshot_id).values(state=JobState.CANCELLED)
            )
            work.commit()


def test_another_server_is_not_held_up(runtime: Runtime, ours: Customer, theirs: Customer) -> None:
    _taken(runtime, ours)
    assert _state(runtime, _taken(runtime, theirs)) is SnapshotState.QUEUED


@pytest.mark.parametrize("kind", ["", "RAW", "tar.gz", "raw\0"])
def test_a_kind_that_is_not_is_refused(runtime: Runtime, ours: Customer, kind: str) -> None:
    with runtime.work() as work, pytest.raises(InvalidInput) as refused:
        snapshots.take(work, ours.actor, ours.server, ours.store, kind)
    assert refused.value.field == "kind"


def test_two_snapshots_of_one_second_have_folders_of_their_own(
    runtime: Runtime, ours: Customer
) -> None:
    numbers = [_put(runtime, ours, SnapshotState.DONE) for _ in range(4)]
    with runtime.work() as work:
        folders = {load_snapshot(work, SUPPORT, number).folder for number in numbers}
    assert len(folders) == 4


def test_of_two_who_take_at_once_exactly_one_wins(runtime: Runtime, ours: Customer) -> None:
    """The question asked first is passed by both: only the unique index decides."""
    asked = threading.Barrier(2)
    outcomes: list[str] = []

    def take() -> None:
        with runtime.work() as work:
            server = load_server(work, ours.actor, ours.server.id)
            store = load_store(work, ours.actor, ours.store.id)
            look = snapshots.active_job(work, server)
            assert look is None
            asked.wait(10)
            try:
                snapshots.take(work, ours.actor, server, store, "raw")
                work.commit()
                outcomes.append("won")
            except Conflict as refused:
                outcomes.append(refused.message)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lost, won = sorted(outcomes)
    assert won == "won"
    assert "web-1" in lost
    with runtime.work() as work:
        assert work.session.scalar(select(func.count()).select_from(Job)) == 1
        assert work.session.scalar(select(func.count()).select_from(Snapshot)) == 1


def test_the_index_alone_refuses_a_second_active_writer(
    runtime: Runtime, ours: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the other had committed between the question and the insert."""
    _taken(runtime, ours)
    monkeypatch.setattr(snapshots, "active_job", lambda *_: None)
    with runtime.work() as work, pytest.raises(Conflict, match="web-1"):
        snapshots.take(work, ours.actor, ours.server, ours.store, "raw")
    done = _snapshot_of(runtime, ours)
    with runtime.work() as work:
        snapshot = load_snapshot(work, SUPPORT, done)
        with pytest.raises(Conflict, match="web-1"):
            snapshots.delete(work, ours.actor, snapshot)
    assert _state(runtime, done) is SnapshotState.DONE


def _snapshot_of(runtime: Runtime, ours: Customer) -> int:
    """A finished snapshot beside an active job."""
    with runtime.work() as work:
        snapshot = Snapshot(
            server_id=ours.server.id,
            store_id=ours.store.id,
            kind="raw",  # type: ignore[arg-type]
            state=SnapshotState.DONE,
            folder="web-1/2020-01-01T000000Z",
        )
        work.session.add(snapshot)
        work.commit()
        return snapshot.id


def test_cancelling_one_that_waits_ends_it_at_once(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _taken(runtime, ours)
    with runtime.work() as work:
        snapshots.cancel(work, ours.actor, load_snapshot(work, ours.actor, snapshot_id))
        work.commit()
    with runtime.work() as work:
        snapshot = load_snapshot(work, ours.actor, snapshot_id)
        assert snapshot.state is SnapshotState.CANCELLED
        assert snapshot.finished_at is not None
        (job,) = snapshot.jobs
        assert job.state is JobState.CANCELLED
        assert leases.claim(work, job.id, "late worker") is None
    assert _taken(runtime, ours) > snapshot_id


def test_cancelling_one_that_runs_only_asks(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _taken(runtime, ours)
    with runtime.work() as work:
        (job,) = load_snapshot(work, SUPPORT, snapshot_id).jobs
        lease = leases.claim(work, job.id, "worker")
        assert lease is not None
        assert leases.renew(work, lease, leases.Report("reading")) is False
        work.commit()
    asked = []
    for _ in range(2):  # asking twice is asking once
        with runtime.work() as work:
            snapshot = load_snapshot(work, ours.actor, snapshot_id)
            snapshots.cancel(work, ours.actor, snapshot)
            work.commit()
            assert snapshot.state is SnapshotState.RUNNING
            asked.append(snapshot.jobs[0].cancel_requested_at)
    assert asked[0] == asked[1]
    with runtime.work() as work:
        assert leases.renew(work, lease, leases.Report("reading")) is True


@pytest.mark.parametrize(
    "state",
    [
        SnapshotState.DONE,
        SnapshotState.FAILED,
        SnapshotState.BROKEN,
        SnapshotState.CANCELLED,
        SnapshotState.DELETING,
        SnapshotState.GONE,
    ],
)
def test_what_has_ended_cannot_be_cancelled(
    runtime: Runtime, ours: Customer, state: SnapshotState
) -> None:
    snapshot_id = _put(runtime, ours, state)
    with runtime.work() as work, pytest.raises(Conflict):
        snapshots.cancel(work, ours.actor, load_snapshot(work, SUPPORT, snapshot_id))
    assert _state(runtime, snapshot_id) is state


@pytest.mark.parametrize("state", [SnapshotState.DONE, SnapshotState.BROKEN])
def test_deleting_what_is_stored_asks_a_job(
    runtime: Runtime, ours: Customer, state: SnapshotState
) -> None:
    snapshot_id = _put(runtime, ours, state)
    with runtime.work() as work:
        snapshots.delete(work, ours.actor, load_snapshot(work, ours.actor, snapshot_id))
        work.commit()
    with runtime.work() as work:
        snapshot = load_snapshot(work, SUPPORT, snapshot_id)
        assert snapshot.state is SnapshotState.DELETING
        job = snapshot.jobs[-1]
        assert (job.kind, job.state) == (JobKind.DELETE, JobState.QUEUED)
        # The job excludes a snapshot of the same server, which shares the pool of parts.
        with pytest.raises(Conflict):
            snapshots.take(work, ours.actor, ours.server, ours.store, "raw")


@pytest.mark.parametrize("state", [SnapshotState.FAILED, SnapshotState.CANCELLED])
def test_deleting_what_left_nothing_needs_no_job(
    runtime: Runtime, ours: Customer, state: SnapshotState
) -> None:
    snapshot_id = _put(runtime, ours, state)
    _taken(runtime, ours)  # and no other job holds it up
    with runtime.work() as work:
        snapshots.delete(work, ours.actor, load_snapshot(work, ours.actor, snapshot_id))
        work.commit()
        assert snapshots.count(work, ours.actor, ours.server) == 1
    assert _state(runtime, snapshot_id) is SnapshotState.GONE


@pytest.mark.parametrize(
    "state",
    [
        SnapshotState.QUEUED,
        SnapshotState.RUNNING,
        SnapshotState.DELETING,
        SnapshotState.GONE,
    ],
)
def test_what_is_active_or_going_cannot_be_deleted(
    runtime: Runtime, ours: Customer, state: SnapshotState
) -> None:
    snapshot_id = _put(runtime, ours, state)
    with runtime.work() as work, pytest.raises(Conflict):
        snapshots.delete(work, ours.actor, load_snapshot(work, SUPPORT, snapshot_id))
    assert _state(runtime, snapshot_id) is state


def test_deleting_waits_for_the_servers_other_job(runtime: Runtime, ours: Customer) -> None:
    done = _put(runtime, ours, SnapshotState.DONE)
    _taken(runtime, ours)
    with runtime.work() as work, pytest.raises(Conflict, match="web-1"):
        snapshots.delete(work, ours.actor, load_snapshot(work, SUPPORT, done))
    assert _state(runtime, done) is SnapshotState.DONE


def test_of_two_who_delete_at_once_one_is_told(runtime: Runtime, ours: Customer) -> None:
    snapshot_id = _put(runtime, ours, SnapshotState.DONE)
    with runtime.work() as first, runtime.work() as second:
        for_first = load_snapshot(first, ours.actor, snapshot_id)
        for_second = load_snapshot(second, ours.actor, snapshot_id)
        first.session.commit()  # nothing is held open between looking and asking
        second.session.commit()
        snapshots.delete(first, ours.actor, for_first)
        first.commit()
        with pytest.raises(Conflict):
            snapshots.delete(second, ours.actor, for_second)
    with runtime.work() as work:
        jobs = select(func.count()).select_from(Job).where(Job.kind == JobKind.DELETE)
        assert work.session.scalar(jobs) == 1


def test_history_is_newest_first_and_pages_on(runtime: Runtime, ours: Customer) -> None:
    numbers = [_put(runtime, ours, SnapshotState.DONE) for _ in range(5)]
    gone = _put(runtime, ours, SnapshotState.GONE)
    running = _put(runtime, ours, SnapshotState.RUNNING)
    with runtime.work() as work:
        lines = snapshots.history(work, ours.actor, ours.server, limit=3)
        assert [line.snapshot.id for line in lines] == [running, *numbers[:2:-1]]
        assert lines[0].job is not None
        assert lines[1].job is None
        rest = snapshots.history(work, ours.actor, ours.server, before=numbers[3])
        assert [line.snapshot.id for line in rest] == numbers[2::-1]
        assert snapshots.count(work, ours.actor, ours.server) == 6
        every = snapshots.list_snapshots(work, ours.actor, states=list(SnapshotState))
        assert gone in [line.snapshot.id for line in every]
        some = snapshots.list_snapshots(work, ours.actor, states=[SnapshotState.RUNNING], limit=9)
        assert [line.snapshot.id for line in some] == [running]
