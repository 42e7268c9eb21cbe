"""Tar snapshots of servers whose root is no ext4: XFS, and btrfs with subvolumes."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from portal.domain.options import Options
from tests.disks import linux
from tests.functional.worker.archives import (
    BTRFS,
    describe,
    make_btrfs_server,
    nothing_left,
    of_a_running_server_on_xfs,
    unpack,
    without_copies,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.worker.house import House


def test_subvolumes(sqlite_house: House, tmp_path: Path, unpacked: Path) -> None:
    tree = make_btrfs_server(sqlite_house.disk, tmp_path)
    before = hashlib.sha256(sqlite_house.disk.read_bytes()).hexdigest()
    taken = sqlite_house.done("tar", Options(exclude=("/.snapshots",)))
    assert hashlib.sha256(sqlite_house.disk.read_bytes()).hexdigest() == before
    unpack(sqlite_house, taken, unpacked)
    back = describe(unpacked)
    assert without_copies(back) == without_copies(tree)
    assert (unpacked / "home/bob/file").read_text() == "bob's\n"
    assert (unpacked / "var/lib/machines/inner/two").read_text() == "deeper\n"
    assert list((unpacked / ".snapshots").iterdir()) == []
    machine = sqlite_house.index(taken)["machine"]
    mounts = [(one["mount"], one["subvolume"]) for one in machine["file_systems"]]
    assert mounts == [("/", "subvol=/@"), ("/home", "subvol=@home")]
    assert machine["subvolumes"] == ["/var/lib/machines", "/var/lib/machines/inner"]
    nothing_left(sqlite_house.disk)


def test_copies_of_the_system_are_taken_where_that_is_wanted(
    sqlite_house: House, tmp_path: Path, unpacked: Path
) -> None:
    make_btrfs_server(sqlite_house.disk, tmp_path)
    taken = sqlite_house.done("tar")
    unpack(sqlite_house, taken, unpacked)
    assert (unpacked / ".snapshots/1/etc/frozen").read_text() == "frozen\n"


def test_a_running_server_on_btrfs(sqlite_house: House, tmp_path: Path, unpacked: Path) -> None:
    """Its log tree is replayed, on an overlay that both subvolumes are mounted from."""
    running = tmp_path / "running.raw"
    make_btrfs_server(running, tmp_path)
    with (
        linux.loop(running, *BTRFS) as device,
        linux.mounted(device, tmp_path / "at", "-o", "subvol=@home") as at,
    ):
        with (at / "bob/fresh").open("wb") as file:
            file.write(b"fsynced a moment ago\n")
            file.flush()
            os.fsync(file.fileno())
        linux.copy_of_running(running, sqlite_house.disk)
    before = hashlib.sha256(sqlite_house.disk.read_bytes()).hexdigest()
    taken = sqlite_house.done("tar", Options(exclude=("/.snapshots",)))
    assert hashlib.sha256(sqlite_house.disk.read_bytes()).hexdigest() == before
    unpack(sqlite_house, taken, unpacked)
    assert (unpacked / "home/bob/fresh").read_bytes() == b"fsynced a moment ago\n"
    file_systems = sqlite_house.index(taken)["machine"]["file_systems"]
    assert [one["replayed"] for one in file_systems] == [True, True]
    nothing_left(sqlite_house.disk)


def test_xfs(sqlite_house: House, tmp_path: Path, unpacked: Path) -> None:
    """A running server's: its log is replayed."""
    tree = of_a_running_server_on_xfs(sqlite_house.disk, tmp_path)
    taken = sqlite_house.done("tar")
    unpack(sqlite_house, taken, unpacked)
    assert describe(unpacked) == tree
    [file_system] = sqlite_house.index(taken)["machine"]["file_systems"]
    assert (file_system["type"], file_system["replayed"]) == ("xfs", True)
    assert "meta-data=DEVICE" in file_system["details"]["xfs_info"]
    nothing_left(sqlite_house.disk)
