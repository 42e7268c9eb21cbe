"""Leases: one claim, fences, the reaper, sending again."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import redis
from sqlalchemy import select, update

from portal.domain.errors import Conflict, LeaseLost, QueueUnavailable
from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Host, Job, Snapshot
from portal.records.declarative import now
from portal.services import leases, snapshots
from portal.services.authority import Actor, load_snapshot
from portal.services.leases import Lease, Report
from portal.settings import Settings
from portal.work import Runtime

if TYPE_CHECKING:
    from tests.unit.services.conftest import Customer

SUPPORT = Actor.support()


def _queued(runtime: Runtime, ours: Customer) -> int:
    with runtime.work() as work:
        taken = snapshots.take(work, ours.actor, ours.server, ours.store, "raw")
        work.commit()
        return taken.jobs[0].id


def _claimed(runtime: Runtime, ours: Customer) -> Lease:
    job_id = _queued(runtime, ours)
    with runtime.work() as work:
        lease = leases.claim(work, job_id, "kvm-1:42")
        work.commit()
    assert lease is not None
    return lease


def _expire(runtime: Runtime, job_id: int) -> None:
    with runtime.work() as work:
        work.session.execute(
            update(Job).where(Job.id == job_id).values(lease_until=now() - timedelta(seconds=1))
        )
        work.commit()


def _job(runtime: Runtime, job_id: int) -> Job:
    with runtime.work() as work:
        return work.session.get_one(Job, job_id)


def _snapshot_state(runtime: Runtime, job_id: int) -> SnapshotState:
    with runtime.work() as work:
        snapshot_id = work.session.scalar(select(Job.snapshot_id).where(Job.id == job_id))
        assert snapshot_id is not None
        return load_snapshot(work, SUPPORT, snapshot_id).state


def test_a_claim_starts_the_job_and_its_snapshot(runtime: Runtime, ours: Customer) -> None:
    before = now()
    lease = _claimed(runtime, ours)
    job = _job(runtime, lease.job_id)
    assert (job.state, job.fence, job.worker) == (JobState.RUNNING, 1, "kvm-1:42")
    assert job.lease_until is not None
    left = (job.lease_until - before).total_seconds()
    assert left == pytest.approx(runtime.settings.lease_seconds, abs=10)
    assert _snapshot_state(runtime, lease.job_id) is SnapshotState.RUNNING


def test_of_many_who_claim_at_once_exactly_one_does(runtime: Runtime, ours: Customer) -> None:
    job_id = _queued(runtime, ours)
    together = threading.Barrier(4)
    claims: list[Lease | None] = []

    def claim() -> None:
        together.wait(10)
        with runtime.work() as work:
            lease = leases.claim(work, job_id, threading.current_thread().name)
            work.commit()
        claims.append(lease)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(claims) == 4
    assert [lease for lease in claims if lease] == [Lease(job_id, 1)]


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.QUEUED])
def test_only_a_queued_job_can_be_claimed(
    runtime: Runtime, ours: Customer, state: JobState
) -> None:
    job_id = _queued(runtime, ours)
    with runtime.work() as work:
        work.session.execute(update(Job).where(Job.id == job_id).values(state=state))
        work.commit()
    with runtime.work() as work:
        assert leases.claim(work, job_id, "late") is None
        assert leases.claim(work, job_id + 1000, "nothing") is None


def test_a_sign_of_life_carries_how_far_it_is(runtime: Runtime, ours: Customer) -> None:
    lease = _claimed(runtime, ours)
    _expire(runtime, lease.job_id)  # late, but nobody noticed: it still holds
    with runtime.work() as work:
        report = Report("reading", done=2**40, total=2**41, sent=2**33, rate=3.5e8)
        assert leases.renew(work, lease, report) is False
        work.commit()
    job = _job(runtime, lease.job_id)
    assert (job.step, job.bytes_done, job.bytes_total) == ("reading", 2**40, 2**41)
    assert (job.bytes_sent, job.rate) == (2**33, 3.5e8)
    assert job.lease_until is not None
    assert job.lease_until > now()


def test_ending_frees_the_server(runtime: Runtime, ours: Customer) -> None:
    lease = _claimed(runtime, ours)
    with runtime.work() as work:
        ended = leases.end(work, lease, JobState.FAILED, error="The disk is missing.")
        work.commit()
        assert (ended.state, ended.error) == (JobState.FAILED, "The disk is missing.")
        assert ended.lease_until is None
    assert _queued(runtime, ours) > lease.job_id


@pytest.mark.parametrize("state", [JobState.RUNNING])
def test_a_job_cannot_end_as_what_is_no_end(
    runtime: Runtime, ours: Customer, state: JobState
) -> None:
    lease = _claimed(runtime, ours)
    with runtime.work() as work, pytest.raises(Conflict):
        leases.end(work, lease, state)


def test_the_reaper_ends_what_shows_no_life(runtime: Runtime, ours: Customer) -> None:
    lease = _claimed(runtime, ours)
    with runtime.work() as work:
        assert leases.reap(work) == []
    _expire(runtime, lease.job_id)
    with runtime.work() as work:
        assert leases.reap(work) == [lease.job_id]
        work.commit()
    job = _job(runtime, lease.job_id)
    assert (job.state, job.error) == (JobState.LOST, leases.LOST)
    assert _snapshot_state(runtime, lease.job_id) is SnapshotState.BROKEN
    with runtime.work() as work:
        assert leases.reap(work) == []
    assert _queued(runtime, ours) > lease.job_id


def test_a_deletion_whose_worker_died_leaves_a_broken_snapshot(
    runtime: Runtime, ours: Customer
) -> None:
    lease = _claimed(runtime, ours)
    with runtime.work() as work:
        leases.end(work, lease, JobState.DONE)
        snapshot = work.session.scalars(select(Snapshot)).one()
        work.session.execute(update(Snapshot).values(state=SnapshotState.DONE))
        work.session.refresh(snapshot)
        snapshots.delete(work, ours.actor, snapshot)
        work.commit()
        job = max(snapshot.jobs, key=lambda job: job.id)
        assert leases.claim(work, job.id, "w") is not None
        work.commit()
    assert _snapshot_state(runtime, job.id) is SnapshotState.DELETING
    _expire(runtime, job.id)
    with runtime.work() as work:
        assert leases.reap(work) == [job.id]
        work.commit()
    assert _snapshot_state(runtime, job.id) is SnapshotState.BROKEN


def test_a_worker_that_was_given_up_changes_nothing_more(runtime: Runtime, ours: Customer) -> None:
    lease = _claimed(runtime, ours)
    _expire(runtime, lease.job_id)
    with runtime.work() as work:
        leases.reap(work)
        work.commit()
    for word in (
        lambda work: leases.renew(work, lease, Report("still here")),
        lambda work: leases.end(work, lease, JobState.DONE),
        lambda work: leases.hand_back(work, lease),
    ):
        with runtime.work() as work, pytest.raises(LeaseLost):
            word(work)
    assert _job(runtime, lease.job_id).state is JobState.LOST
    assert _snapshot_state(runtime, lease.job_id) is SnapshotState.BROKEN


def test_an_old_fence_says_nothing_for_the_next_holder(runtime: Runtime, ours: Customer) -> None:
    old = _claimed(runtime, ours)
    with runtime.work() as work:
        leases.hand_back(work, old)
        work.commit()
    assert _snapshot_state(runtime, old.job_id) is SnapshotState.QUEUED
    job = _job(runtime, old.job_id)
    assert (job.state, job.enqueued_at, job.worker) == (JobState.QUEUED, None, "")
    with runtime.work() as work:
        new = leases.claim(work, old.job_id, "the next")
        work.commit()
    assert new == Lease(old.job_id, old.fence + 1)
    for word in (
        lambda work: leases.renew(work, old, Report("orphan")),
        lambda work: leases.end(work, old, JobState.DONE),
        lambda work: leases.hand_back(work, old),
    ):
        with runtime.work() as work, pytest.raises(LeaseLost):
            word(work)
    job = _job(runtime, old.job_id)
    assert (job.state, job.worker, job.step) == (JobState.RUNNING, "the next", "")


def _age(runtime: Runtime, **values: object) -> None:
    with runtime.work() as work:
        work.session.execute(update(Job).values(**values))
        work.commit()


def test_what_redis_lost_is_sent_again(runtime: Runtime, ours: Customer, redis_url: str) -> None:
    job_id = _queued(runtime, ours)
    long_ago = now() - timedelta(minutes=5)
    _age(runtime, created_at=long_ago, enqueued_at=long_ago)
    with runtime.work() as work:
        assert leases.resend(work) == []  # Redis has it: its worker is only busy
    with redis.Redis.from_url(redis_url) as server:
        server.flushall()
    with runtime.work() as work:
        assert not work.queue.waits(job_id)
        assert leases.resend(work) == [job_id]
        work.commit()
        assert work.queue.waits(job_id)
        assert leases.resend(work) == []


def test_what_was_never_sent_is_sent_after_a_moment(runtime: Runtime, ours: Customer) -> None:
    job_id = _queued(runtime, ours)
    _age(runtime, enqueued_at=None)
    with runtime.work() as work:
        assert leases.resend(work) == []  # whoever made it may be about to send it
    _age(runtime, created_at=now() - timedelta(seconds=11))
    with runtime.work() as work:
        assert leases.resend(work) == [job_id]


def test_while_redis_is_gone_a_snapshot_is_recorded_all_the_same(
    database_url: str, ours: Customer, tmp_path: object, free_port: int
) -> None:
    settings = Settings(
        data=tmp_path,  # type: ignore[arg-type]
        database_url=database_url,
        redis_url=f"redis://127.0.0.1:{free_port}/0",  # type: ignore[arg-type]
    )
    runtime = Runtime.open(settings)
    try:
        with runtime.work() as work:
            snapshots.take(work, ours.actor, ours.server, ours.store, "raw")
            work.commit()
            assert work.queue_down
        with runtime.work() as work:
            (job,) = work.session.scalars(select(Job)).all()
            assert (job.state, job.enqueued_at) == (JobState.QUEUED, None)
            job.created_at = now() - timedelta(minutes=1)
            work.commit()
        with runtime.work() as work, pytest.raises(QueueUnavailable):
            leases.resend(work)
    finally:
        runtime.close()


def test_a_host_is_seen(runtime: Runtime, ours: Customer) -> None:
    for name in ("kvm-1", "kvm-new"):
        with runtime.work() as work:
            leases.seen(work, name)
            work.commit()
        with runtime.work() as work:
            seen = work.session.get_one(Host, name).seen_at
            assert seen is not None
            assert (now() - seen).total_seconds() < 60
