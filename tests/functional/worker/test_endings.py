"""How jobs end: cancelled, handed back, failed by the disk or the store, with a lost lease."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
import swiftclient
from sqlalchemy import update

from portal.domain.errors import Conflict
from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Job
from portal.stores.swift import SwiftStore
from tests.functional.worker.house import MIB, fill, look_after, make_house
from worker.heartbeat import Heartbeat
from worker.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import RunningSwift, SwiftEndpoint
    from tests.functional.worker.house import House


@contextmanager
def before(step: Step, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do something as a step begins, once."""
    at = Heartbeat.at
    done = threading.Event()

    def at_then(self: Heartbeat, now: Step) -> None:
        if now is step and not done.is_set():
            done.set()
            act()
        at(self, now)

    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat, "at", at_then)
        yield
    assert done.is_set()


@pytest.mark.parametrize("step", [Step.PARTS, Step.MANIFEST, Step.INDEX, Step.README])
def test_cancel_leaves_nothing_behind(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    taken = sqlite_house.take()
    with before(step, lambda: sqlite_house.cancel(taken), monkeypatch):
        sqlite_house.run()
    assert sqlite_house.look(taken).state is SnapshotState.CANCELLED
    assert sqlite_house.job_of(taken).state is JobState.CANCELLED
    assert sqlite_house.objects() == set()
    assert sqlite_house.parts() == []


def test_cancel_keeps_what_others_need(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sqlite_house.done()
    taken = sqlite_house.take()
    with before(Step.README, lambda: sqlite_house.cancel(taken), monkeypatch):
        sqlite_house.run()
    assert sqlite_house.look(taken).state is SnapshotState.CANCELLED
    assert sqlite_house.whole(whole)


def test_cancel_while_it_waits(sqlite_house: House) -> None:
    taken = sqlite_house.take()
    sqlite_house.cancel(taken)
    assert sqlite_house.look(taken).state is SnapshotState.CANCELLED
    with pytest.raises(Conflict):
        sqlite_house.cancel(taken)


def test_handed_back_and_done_by_the_next(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = sqlite_house.take()
    at = Heartbeat.at

    def interrupted(self: Heartbeat, step: Step) -> None:
        if step is Step.MANIFEST:
            self.interrupt()
        at(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat, "at", interrupted)
        sqlite_house.run()
    assert sqlite_house.look(taken).state is SnapshotState.QUEUED
    sqlite_house.run()
    found = sqlite_house.look(taken)
    assert found.state is SnapshotState.DONE
    assert found.sent == 0
    assert sqlite_house.whole(found)


def test_a_lost_lease_stops_in_silence(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another holds the fence: this one writes neither to the store nor to the records."""
    taken = sqlite_house.take()

    def take_over() -> None:
        with sqlite_house.runtime.work() as work:
            work.session.execute(update(Job).values(fence=Job.fence + 1))
            work.commit()

    with before(Step.INDEX, take_over, monkeypatch):
        sqlite_house.run()
    assert sqlite_house.look(taken).state is SnapshotState.RUNNING
    names = sqlite_house.objects()
    assert f"{taken.folder}/web-1.raw.gz" in names
    assert f"{taken.folder}/snapshot.json" not in names


def failed(house: House) -> str:
    """Take one that must fail, leaving nothing behind; the sentence."""
    taken = house.snapshot()
    assert taken.state is SnapshotState.FAILED
    assert house.objects() == set()
    assert taken.error is not None
    return taken.error


def test_missing_disk(sqlite_house: House) -> None:
    sqlite_house.disk.unlink()
    assert failed(sqlite_house) == "The server's disk is not there (its file is missing)."


def test_disk_is_a_folder(sqlite_house: House) -> None:
    sqlite_house.disk.unlink()
    sqlite_house.disk.mkdir()
    assert failed(sqlite_house) == "The server's disk is not there (its file is missing)."


def test_empty_disk(sqlite_house: House) -> None:
    fill(sqlite_house.disk, 0, data=[])
    assert failed(sqlite_house) == "The server's disk cannot be opened or read."


def test_disk_shrinks_while_it_is_read(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of a server that runs: somebody has it open for writing all the time."""
    with (
        sqlite_house.disk.open("r+b") as disk,
        before(Step.PARTS, lambda: disk.truncate(30 * MIB), monkeypatch),
    ):
        sentence = failed(sqlite_house)
    assert sentence.startswith("The server's disk could not be read at byte ")
    offset = int(sentence.split("at byte ")[1].split()[0].rstrip(","))
    assert 30 * MIB <= offset <= 58 * MIB


def test_disk_that_fails_to_read(
    sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block device whose blocks beyond a point give EIO: a loop over a file cut short."""
    image = tmp_path / "device.raw"
    fill(image, 64 * MIB, data=[(0, 64 * MIB)])
    device = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        with image.open("r+b") as file:
            file.truncate(32 * MIB)
        with sqlite_house.runtime.work() as work:
            server = work.session.merge(sqlite_house.server)
            server.disks[0].driver, server.disks[0].address = "block", device
            work.commit()
        sentence = failed(sqlite_house)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert sentence.startswith("The server's disk could not be read at byte ")
    assert device not in sentence


@pytest.fixture
def house_on(
    own_swift: Callable[..., RunningSwift], sqlite_url: str, redis_url: str, data_folder: Path
) -> Iterator[tuple[House, RunningSwift]]:
    """A house whose Swift is its own, to be stopped."""
    swift = own_swift()
    house = make_house(sqlite_url, redis_url, swift.account(), data_folder, lease_seconds="5")
    yield house, swift
    house.runtime.close()


def test_store_gone_is_broken_then_deletable(
    house_on: tuple[House, RunningSwift], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, swift = house_on
    taken = house.take()
    with before(Step.MANIFEST, swift.stop, monkeypatch):
        house.run()
    broken = house.look(taken)
    assert broken.state is SnapshotState.BROKEN
    assert broken.error is not None
    assert broken.error.endswith("Some files may be left behind in the store.")
    assert "Traceback" not in broken.error
    swift.start()
    following = house.done()
    assert following.sent == 0
    house.ask_delete(broken)
    house.run()
    assert house.look(broken).state is SnapshotState.GONE
    assert house.whole(following)


def test_store_gone_before_the_start(house_on: tuple[House, RunningSwift]) -> None:
    house, swift = house_on
    taken = house.take()
    swift.stop()
    house.run()
    ended = house.look(taken)
    assert ended.state in {SnapshotState.FAILED, SnapshotState.BROKEN}
    assert "store" in (ended.error or "")


def test_store_full(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> None:
    """The container has a quota that a part does not fit into."""
    house = make_house(sqlite_url, redis_url, swift_endpoint, data_folder, lease_seconds="5")
    with closing(
        swiftclient.Connection(swift_endpoint.auth_url, swift_endpoint.user, swift_endpoint.key)
    ) as client:
        quota = {"X-Container-Meta-Quota-Bytes": str(5 * MIB)}
        client.post_container("miniserver-snapshots", quota)
    ended = house.snapshot()
    assert ended.state is SnapshotState.FAILED
    assert "full" in (ended.error or "") or "room" in (ended.error or "")
    assert house.objects() == set()
    house.runtime.close()


def test_store_that_stops_answering(
    house_on: tuple[House, RunningSwift], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and says nothing: the job ends within its time limits, and is broken."""
    house, swift = house_on
    taken = house.take()
    with before(Step.MANIFEST, lambda: os.kill(swift.pid, signal.SIGSTOP), monkeypatch):
        house.run()
    os.kill(swift.pid, signal.SIGCONT)
    ended = house.look(taken)
    assert ended.state is SnapshotState.BROKEN
    assert "Some files may be left behind" in (ended.error or "")
    assert house.done().sent == 0


def test_credentials_refused_in_mid_job(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer changed the key meanwhile: one sentence, and what stands is left for later."""
    from portal.domain.errors import StoreRefused

    taken = sqlite_house.take()
    calls = iter(range(1000))
    put = SwiftStore.put

    def refused(self: SwiftStore, *args: object, **kwargs: object) -> object:
        if next(calls) >= 1:
            raise StoreRefused("The store does not accept the credentials.")
        return put(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(SwiftStore, "put", refused)
        sqlite_house.run()
    ended = sqlite_house.look(taken)
    assert ended.state is SnapshotState.FAILED
    assert ended.error == "The store does not accept the credentials."
    assert sqlite_house.objects() == set()


def test_reaper_within_a_minute_by_default() -> None:
    from portal.settings import Settings

    settings = Settings()
    assert settings.lease_seconds + settings.reap_seconds < 60


def test_slow_database_does_not_lose_the_lease(sqlite_house: House) -> None:
    """A job that runs longer than its lease keeps it, by renewing."""
    taken = sqlite_house.take()
    at = Heartbeat.at

    def slow(self: Heartbeat, step: Step) -> None:
        if step is Step.MANIFEST:
            time.sleep(3)
            look_after(sqlite_house.runtime)
        at(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Heartbeat, "at", slow)
        sqlite_house.run()
    assert sqlite_house.look(taken).state is SnapshotState.DONE
