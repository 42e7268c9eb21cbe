"""The worker as it is deployed: `python -m worker`, jobs through Redis, signals from outside."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest
from sqlalchemy import select

from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Host, Job
from tests.contract.faulty_proxy import Fault, FaultyProxy
from tests.functional.worker.archives import nothing_left, of_a_running_server
from tests.functional.worker.house import MIB, fill, look_after, make_house

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from portal.records import Snapshot
    from tests.conftest import SwiftEndpoint
    from tests.functional.worker.house import House

_MINUTE = timedelta(minutes=2)


@contextmanager
def worker(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """A worker for the host `local`; ended afterwards, with its jobs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "--host", "local"],
        env={**os.environ, **house.environment},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        children = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.kill()
        process.wait()
        psutil.wait_procs(children, timeout=10)


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something, or fail."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def state(house: House, snapshot: Snapshot) -> SnapshotState:
    return house.look(snapshot).state


def busy(house: House, snapshot: Snapshot) -> bool:
    """Whether the job has begun to send."""
    return house.job_of(snapshot).bytes_sent > 0


@pytest.fixture
def slow_house(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[House]:
    """A house whose store takes its time for each of 12 parts: no machine is done in an instant."""
    port = urlsplit(swift_endpoint.auth_url).port
    assert port
    with FaultyProxy(port) as proxy:
        proxy.faults.append(Fault(("PUT", "/.part/"), times=1000, delay=0.7))
        slow = replace(swift_endpoint, auth_url=f"http://127.0.0.1:{proxy.port}/auth/v1.0")
        made = make_house(sqlite_url, redis_url, slow, data_folder, lease_seconds="2")
        fill(made.disk, 256 * MIB, data=[(at * 64 * MIB, 48 * MIB) for at in range(4)])
        yield made
        made.runtime.close()


def horses(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes of the worker's jobs."""
    return psutil.Process(process.pid).children(recursive=True)


def test_take_and_delete_through_the_queue(house: House) -> None:
    with worker(house):
        taken = house.take()
        wait_until(lambda: state(house, taken) is SnapshotState.DONE)
        assert house.whole(taken)
        house.ask_delete(house.look(taken))
        wait_until(lambda: state(house, taken) is SnapshotState.GONE)
    assert house.objects() == set()
    with house.runtime.work() as work:
        assert work.session.scalars(select(Host.seen_at)).one() is not None


def test_a_killed_worker_takes_its_job_with_it(slow_house: House) -> None:
    with worker(slow_house) as process:
        taken = slow_house.take()
        wait_until(lambda: busy(slow_house, taken))
        [horse] = horses(process)
        process.kill()
        process.wait()
        wait_until(lambda: not horse.is_running() or horse.status() == psutil.STATUS_ZOMBIE, 5)
    time.sleep(slow_house.runtime.settings.lease_seconds + 0.5)
    look_after(slow_house.runtime)
    assert state(slow_house, taken) is SnapshotState.BROKEN
    with worker(slow_house):
        following = slow_house.take()
        wait_until(lambda: state(slow_house, following) is SnapshotState.DONE)
    assert slow_house.look(following).reused > 0
    assert slow_house.whole(following)


def test_a_worker_asked_to_stop_hands_its_job_back(slow_house: House) -> None:
    with worker(slow_house) as process:
        taken = slow_house.take()
        wait_until(lambda: busy(slow_house, taken))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert state(slow_house, taken) is SnapshotState.QUEUED
    assert slow_house.job_of(taken).state is JobState.QUEUED
    with slow_house.runtime.work() as work:
        # Long ago, as it is by the time that a restarted worker asks.
        work.session.get_one(Job, slow_house.job_of(taken).id).created_at -= _MINUTE
        work.commit()
    with worker(slow_house):
        look_after(slow_house.runtime)
        wait_until(lambda: state(slow_house, taken) is SnapshotState.DONE)
    assert slow_house.look(taken).reused > 0
    assert slow_house.whole(taken)


def test_a_running_snapshot_is_cancelled_within_seconds(slow_house: House) -> None:
    with worker(slow_house):
        taken = slow_house.take()
        wait_until(lambda: busy(slow_house, taken))
        slow_house.cancel(taken)
        wait_until(lambda: state(slow_house, taken) is SnapshotState.CANCELLED, 30)
    assert slow_house.objects() == set()


def test_what_redis_lost_is_sent_again(sqlite_house: House) -> None:
    """The job is recorded, Redis forgot it: the reaper brings it to a worker all the same."""
    from redis import Redis

    taken = sqlite_house.take()
    Redis.from_url(sqlite_house.runtime.settings.redis).flushall()
    with sqlite_house.runtime.work() as work:
        job = work.session.scalars(select(Job)).one()
        job.created_at -= _MINUTE
        job.enqueued_at = job.created_at
        work.commit()
    look_after(sqlite_house.runtime)
    with worker(sqlite_house):
        wait_until(lambda: state(sqlite_house, taken) is SnapshotState.DONE)


def test_a_number_that_arrives_twice_runs_once(sqlite_house: House) -> None:
    taken = sqlite_house.take()
    job = sqlite_house.job_of(taken)
    with worker(sqlite_house):
        wait_until(lambda: state(sqlite_house, taken) is SnapshotState.DONE)
        ended = sqlite_house.job_of(taken).ended_at
        sqlite_house.runtime.queue.send(job.kind, job.id, job.queue)
        wait_until(lambda: not sqlite_house.runtime.queue.waits(job.id))
    assert sqlite_house.job_of(taken).ended_at == ended
    assert sqlite_house.job_of(taken).fence == 1


def test_no_encryption_key_is_one_line(sqlite_house: House) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "worker"],
        env={**os.environ, **sqlite_house.environment, "SNAPPORT_KEY": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "worker: The encryption key is not a Fernet key (32 bytes, URL-safe base64).\n"
    )


def test_a_worker_clears_what_its_killed_jobs_left_when_it_starts(sqlite_house: House) -> None:
    """Worker and job are killed in the middle of a tar snapshot, beside one that goes on."""
    disk = sqlite_house.disk
    (disk.parent / "folder").mkdir()
    of_a_running_server(disk, disk.parent / "folder")
    scratch = sqlite_house.runtime.settings.data.resolve() / "scratch/local"
    with worker(sqlite_house) as process:
        sqlite_house.take("tar")
        wait_until(lambda: scratch.exists() and list(scratch.glob("*/changes-1.qcow2")))
        process.kill()
        process.wait()
    nothing_left(disk)
    [left] = scratch.iterdir()
    running = scratch / "another"
    running.mkdir()
    lock = os.open(running, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with worker(sqlite_house):
        wait_until(lambda: not left.exists())
    os.close(lock)
    assert list(scratch.iterdir()) == [running]
