"""SIGKILL at every step, in a real process: nothing is lost, the next snapshot sends the rest."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import JobState, SnapshotState
from portal.services.leases import LOST
from tests.functional.worker.house import MIB, look_after

if TYPE_CHECKING:
    from portal.records import Snapshot
    from tests.functional.worker.house import House

POINTS = [
    "before the first part",
    "mid-part 3",
    "after the parts",
    "after the manifest",
    "before README.txt",
]


def reap(house: House) -> None:
    """What the reaper does once the lease has run out."""
    time.sleep(house.runtime.settings.lease_seconds + 0.2)
    look_after(house.runtime)


def killed(house: House, point: str) -> Snapshot:
    """A snapshot whose job was killed at this point, after the reaper has noticed."""
    taken = house.take()
    assert house.kill_at(point) == -signal.SIGKILL
    assert house.look(taken).state is SnapshotState.RUNNING
    reap(house)
    return house.look(taken)


@pytest.mark.parametrize("point", POINTS)
def test_killed_is_broken_and_the_next_sends_only_the_rest(house: House, point: str) -> None:
    broken = killed(house, point)
    assert (broken.state, broken.error) == (SnapshotState.BROKEN, LOST)
    assert house.job_of(broken).state is JobState.LOST
    assert f"{broken.folder}/README.txt" not in house.objects()
    stood = {name for name in house.objects() if "/.part/" in name}
    recorded = {f"web-1/.part/{part.sha256[:2]}/{part.sha256}" for part in house.parts()}
    assert stood <= recorded, "a part stands that nobody knows of"
    if point not in {"before the first part", "mid-part 3"}:
        assert stood == recorded

    following = house.done()
    assert house.whole(following)
    sizes = {f"web-1/.part/{part.sha256[:2]}/{part.sha256}": part.size for part in house.parts()}
    rest = sum(size for name, size in sizes.items() if name not in stood)
    assert following.sent == rest
    if point == "mid-part 3":
        assert 0 < following.sent < (following.size or 0)


@pytest.mark.parametrize("point", [point.replace("3", "1") for point in POINTS])
def test_a_broken_snapshot_is_deleted_without_harm(sqlite_house: House, point: str) -> None:
    whole = sqlite_house.done()
    with sqlite_house.disk.open("r+b") as disk:
        disk.seek(5 * MIB)
        disk.write(b"changed")
    broken = killed(sqlite_house, point)
    sqlite_house.ask_delete(broken)
    sqlite_house.run()
    assert sqlite_house.look(broken).state is SnapshotState.GONE
    assert not sqlite_house.objects(f"{broken.folder}/")
    named = {
        f"web-1/.part/{part['sha256'][:2]}/{part['sha256']}"
        for part in sqlite_house.index(whole)["files"][0]["parts"]
    }
    assert {name for name in sqlite_house.objects() if "/.part/" in name} == named
    assert len(sqlite_house.download(whole)) == whole.size


def test_killed_after_readme_turns_out_complete(house: House) -> None:
    """README.txt stands, so the snapshot is complete, though its worker never said so."""
    taken = house.take()
    assert house.kill_at("after README.txt") == -signal.SIGKILL
    reap(house)
    found = house.look(taken)
    assert (found.state, found.error) == (SnapshotState.DONE, None)
    assert found.size == len(house.download(found))
    assert house.whole(found)


def test_deletion_killed_half_way_can_be_repeated(house: House) -> None:
    kept = house.done()
    gone = house.done()
    house.ask_delete(gone)
    assert house.kill_at("deleting: after the files") == -signal.SIGKILL
    assert f"{gone.folder}/README.txt" not in house.objects()
    reap(house)
    assert house.look(gone).state is SnapshotState.BROKEN
    house.ask_delete(house.look(gone))
    house.run()
    assert house.look(gone).state is SnapshotState.GONE
    assert house.whole(kept)


def test_the_broken_one_is_told_apart_while_another_runs(sqlite_house: House) -> None:
    broken = killed(sqlite_house, "after the parts")
    running = sqlite_house.take()
    assert sqlite_house.look(broken).state is SnapshotState.BROKEN
    assert sqlite_house.look(running).state is SnapshotState.QUEUED
