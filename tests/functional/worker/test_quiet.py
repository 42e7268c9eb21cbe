"""Disks that nobody writes to: less is read of an unclean one, and a start is noticed."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from portal.domain.errors import DiskUnavailable, SnapportError
from portal.domain.lifecycle import JobState, SnapshotState
from portal.domain.options import Options
from tests.disks import linux
from tests.functional.worker.archives import one_partition
from tests.functional.worker.house import MIB
from tests.functional.worker.test_exports import export
from tests.functional.worker.test_inspect import look
from worker.disks.quiet import Quiet
from worker.upload import Upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.worker.house import House


def test_a_file_is_quiet_until_somebody_opens_it_for_writing(tmp_path: Path) -> None:
    disk, other = tmp_path / "disk", tmp_path / "other"
    disk.write_bytes(b"1")
    other.write_bytes(b"2")
    told: list[SnapportError] = []
    with Quiet(told.append) as quiet:
        assert quiet.watch(disk)
        assert quiet.watch(other)
        assert disk.read_bytes() == b"1"
        before = time.monotonic()
        with disk.open("ab"):
            waited = time.monotonic() - before
        # Not as long as the kernel would let it wait.
        assert waited < 10
        with pytest.raises(DiskUnavailable, match="opened its disk for writing"):
            quiet.confirm()
        # The other is let go too: nothing is watched for nothing.
        other.write_bytes(b"3")
    assert len(told) == 1


def test_once_all_is_read_the_server_may_start(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"1")
    told: list[SnapportError] = []
    with Quiet(told.append) as quiet:
        assert quiet.watch(disk)
        quiet.confirm()
        with disk.open("ab"):
            time.sleep(0.3)  # three looks
    assert told == []


def test_what_somebody_writes_to_is_not_quiet(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb"), Quiet() as quiet:
        assert not quiet.watch(disk)
        quiet.confirm()
    with Quiet() as quiet:
        assert quiet.watch(disk)
    # Nothing is left of it.
    before = time.monotonic()
    disk.write_bytes(b"1")
    assert time.monotonic() - before < 10
    with Quiet() as quiet:
        assert not quiet.watch(tmp_path)


def test_a_host_that_serves_images_to_others_watches_none(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"1")
    with Quiet(on=False) as quiet:
        assert not quiet.watch(disk)


def test_nothing_is_known_of_a_file_system_that_other_hosts_may_write_to(tmp_path: Path) -> None:
    """One that is not on the list, though it grants leases."""
    with linux.mounted("ramfs", tmp_path / "mount", "-t", "ramfs") as at, Quiet() as quiet:
        (at / "disk").write_bytes(b"1")
        assert not quiet.watch(at / "disk")


def unclean(house: House, folder: Path) -> None:
    """The disk of a server that was switched off hard."""
    running = folder / "running.raw"
    one_partition(running, folder / "root")
    at = folder / "root"
    with linux.loop(running, MIB, 255 * MIB) as device:
        # What the journal still tells of counts as in use: this is forgotten.
        with linux.mounted(device, at):
            (at / "kept").write_bytes(os.urandom(3 * MIB))
            (at / "gone").write_bytes(os.urandom(3 * MIB))
            linux.run("sync", "--file-system", at)
            (at / "gone").unlink()
        with linux.mounted(device, at):
            with (at / "fresh").open("wb") as file:
                file.write(b"fsynced a moment ago\n")
                file.flush()
                os.fsync(file.fileno())
            linux.copy_of_running(running, house.disk)
    assert "needs_recovery" in linux.run("dumpe2fs", "-h", f"{house.disk}?offset={MIB}")


def expect_files(disk: Path, folder: Path) -> None:
    """What `unclean` wrote is there, once the journal is replayed, and the file system in order."""
    with (
        linux.loop(disk, MIB, 255 * MIB) as device,
        linux.mounted(device, folder / "root") as at,
    ):
        assert (at / "fresh").read_bytes() == b"fsynced a moment ago\n"
        assert not (at / "gone").exists()
        assert (at / "kept").stat().st_size == 3 * MIB
    volume = folder / "volume"
    volume.write_bytes(disk.read_bytes()[MIB:])
    subprocess.run(["e2fsck", "-fn", volume], check=True)


def test_an_unclean_disk_is_read_as_its_journal_will_leave_it(
    sqlite_house: House, tmp_path: Path
) -> None:
    unclean(sqlite_house, tmp_path)
    _, found = look(sqlite_house)
    assert found is not None
    assert [partition.reason for partition in found.partitions] == [""]
    assert found.to_read < 150 * MIB

    taken = sqlite_house.done()
    restored = tmp_path / "restored.raw"
    restored.write_bytes(gzip.decompress(sqlite_house.download(taken)))
    assert restored.stat().st_size == sqlite_house.disk.stat().st_size
    expect_files(restored, tmp_path)


def test_a_disk_that_is_open_for_writing_is_taken_whole(
    sqlite_house: House, tmp_path: Path
) -> None:
    unclean(sqlite_house, tmp_path)
    with sqlite_house.disk.open("rb+"):
        _, found = look(sqlite_house)
        assert found is not None
        [partition] = found.partitions
        assert "journal has to be replayed" in partition.reason
        assert sqlite_house.whole(sqlite_house.done())


def test_a_stored_disk_holds_still(sqlite_house: House, tmp_path: Path) -> None:
    """Of a server that ran all is stored; an export leaves out what the replay leaves free."""
    unclean(sqlite_house, tmp_path)
    with sqlite_house.disk.open("rb+"):
        origin = sqlite_house.done()
    smart = export(sqlite_house, origin, "qcow2")
    plain = export(sqlite_house, origin, "qcow2", Options(skip_unused=False))
    assert (smart.state, plain.state) == (SnapshotState.DONE, SnapshotState.DONE)
    assert smart.size is not None
    assert plain.size is not None
    assert smart.size < plain.size - 2 * MIB  # what was deleted
    image, disk = tmp_path / "web-1.qcow2", tmp_path / "exported.raw"
    image.write_bytes(sqlite_house.download(smart, image.name))
    linux.run("qemu-img", "convert", "-O", "raw", image, disk)
    expect_files(disk, tmp_path)


def test_a_server_that_starts_meanwhile_fails_the_snapshot(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()

    def start() -> None:
        with sqlite_house.disk.open("rb+"):
            opened.set()

    run = Upload.run

    def run_then(upload: Upload) -> object:
        threading.Thread(target=start).start()
        assert opened.wait(10)
        return run(upload)

    monkeypatch.setattr(Upload, "run", run_then)
    taken = sqlite_house.snapshot()
    assert taken.state is SnapshotState.FAILED
    assert "opened its disk for writing" in (taken.error or "")
    assert sqlite_house.job_of(taken).state is JobState.FAILED
    assert sqlite_house.objects() == set()
