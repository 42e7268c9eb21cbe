"""What a worker finds on a disk, and a snapshot that leaves out what is free there."""

from __future__ import annotations

import gzip
import subprocess
from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import JobState, SnapshotState
from portal.domain.options import Options
from portal.records import Job, Server
from portal.services import inspections
from tests.functional.worker.house import MIB
from worker.jobs import run_inspect

if TYPE_CHECKING:
    from pathlib import Path

    from portal.domain.layout import Layout
    from tests.functional.worker.house import House

SIZE = 96 * MIB
START = MIB


def make_ext4(disk: Path, folder: Path) -> None:
    """An MBR with one ext4 from 1 MiB on; its free blocks hold noise, as deleted files leave it."""
    disk.write_bytes(b"\xa5" * SIZE)
    subprocess.run(["sfdisk", "--quiet", disk], input=b"label: dos\n2048,,83,*\n", check=True)
    folder.mkdir()
    (folder / "kept").write_bytes(b"what the customer has\n" * 100_000)
    with disk.open("r+b") as file:
        file.seek(START)
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-E", f"offset={START},nodiscard,lazy_itable_init=0",
         "-L", "root", "-d", folder, disk, f"{(SIZE - START) // 1024}k"],
        check=True,
    )  # fmt: skip


def look(house: House) -> tuple[Job, Layout | None]:
    """Ask, run the job here, and what it noted."""
    with house.runtime.work() as work:
        job = inspections.ask(work, house.actor, house.server)
        work.commit()
    run_inspect(house.runtime, job.id)
    with house.runtime.work() as work:
        server = work.session.get_one(Server, house.server.id)
        return work.session.get_one(Job, job.id), inspections.layout_of(server.disks[0])


@pytest.fixture
def ext4_house(sqlite_house: House, tmp_path: Path) -> House:
    make_ext4(sqlite_house.disk, tmp_path / "files")
    return sqlite_house


def test_a_partition_with_its_file_system(ext4_house: House) -> None:
    job, layout = look(ext4_house)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert layout is not None
    assert (layout.size, layout.table, layout.reason) == (SIZE, "mbr", "")
    [partition] = layout.partitions
    assert (partition.number, partition.start, partition.length) == (1, START, SIZE - START)
    assert (partition.file_system, partition.label, partition.reason) == ("ext4", "root", "")
    assert partition.used is not None
    assert layout.to_read < SIZE // 2


def test_a_missing_disk_is_one_sentence(sqlite_house: House) -> None:
    sqlite_house.disk.unlink()
    job, layout = look(sqlite_house)
    assert job.state is JobState.FAILED
    assert job.error == "The server's disk is not there (its file is missing)."
    assert layout is None


def test_an_inspection_runs_beside_a_snapshot(sqlite_house: House) -> None:
    taken = sqlite_house.take()
    job, _ = look(sqlite_house)
    assert job.state is JobState.DONE
    assert sqlite_house.look(taken).state is SnapshotState.QUEUED


def test_unused_space_is_left_out_and_the_files_stay(ext4_house: House, tmp_path: Path) -> None:
    taken = ext4_house.done()
    restored = tmp_path / "restored.raw"
    restored.write_bytes(gzip.decompress(ext4_house.download(taken)))
    assert restored.stat().st_size == SIZE
    volume = tmp_path / "volume"
    volume.write_bytes(restored.read_bytes()[START:])
    subprocess.run(["e2fsck", "-fn", volume], check=True)
    subprocess.run(["debugfs", "-R", f"dump kept {tmp_path / 'kept'}", volume], check=True)
    assert (tmp_path / "kept").read_bytes() == b"what the customer has\n" * 100_000
    original = ext4_house.disk.read_bytes()
    assert original.count(b"\xa5" * 4096) > restored.read_bytes().count(b"\xa5" * 4096)
    assert "left out" in ext4_house.download(taken, "README.txt").decode()
    assert ext4_house.index(taken)["unused"] == "left out"


def test_every_sector_by_choice(ext4_house: House) -> None:
    from portal.services import snapshots

    with ext4_house.runtime.work() as work:
        taken = snapshots.take(
            work,
            ext4_house.actor,
            ext4_house.server,
            ext4_house.store,
            "raw",
            options=Options(skip_unused=False),
        )
        work.commit()
    ext4_house.run()
    assert ext4_house.whole(taken)
    assert "every sector" in ext4_house.download(taken, "README.txt").decode()
