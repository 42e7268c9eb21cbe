"""Tar snapshots of disks that nobody trusts: libguestfs reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import SnapshotState
from portal.domain.options import Options
from tests.disks import linux
from tests.disks.linux import MIB
from tests.functional.worker.archives import (
    describe,
    make_btrfs_server,
    nothing_left,
    of_a_running_server,
    one_partition,
    unpack,
    without_copies,
)
from tests.functional.worker.house import make_house

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import SwiftEndpoint
    from tests.functional.worker.house import House


@pytest.fixture
def guarded_house(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[House]:
    """A house whose disks nobody trusts."""
    made = make_house(
        sqlite_url,
        redis_url,
        swift_endpoint,
        data_folder,
        lease_seconds="60",
        reader="libguestfs",
    )
    yield made
    made.runtime.close()


def test_libguestfs_reads_a_disk_nobody_trusts(
    guarded_house: House, tmp_path: Path, unpacked: Path
) -> None:
    """The same files, with what is only in the journal; what it cannot keep is not in the tree."""
    tree = of_a_running_server(guarded_house.disk, tmp_path)
    tree = {path: entry for path, entry in tree.items() if not path.startswith(b"/tmp/")}
    before = hashlib.sha256(guarded_house.disk.read_bytes()).hexdigest()
    sockets = set(Path("/tmp").glob("libguestfs*"))
    exclude = ("/tmp", "/odd names/umlaut or not")
    taken = guarded_house.done("tar", Options(exclude=exclude))
    assert set(Path("/tmp").glob("libguestfs*")) <= sockets
    assert hashlib.sha256(guarded_house.disk.read_bytes()).hexdigest() == before
    unpack(guarded_house, taken, unpacked)
    back = describe(unpacked)
    assert back.keys() == tree.keys()
    assert back[b"/etc/fresh"][3] == len(b"fsynced a moment ago\n")
    for path, entry in tree.items():
        assert back[path] == entry, path
    machine = guarded_house.index(taken)["machine"]
    assert machine["file_systems"][0]["details"]["Block size"] == "1024"
    assert machine["excluded"] == list(exclude)
    nothing_left(guarded_house.disk)


def test_libguestfs_leaves_nothing_after_a_kill(guarded_house: House, tmp_path: Path) -> None:
    one_partition(guarded_house.disk, tmp_path / "root")
    guarded_house.take("tar")
    assert guarded_house.kill_at("mid-part 1") == -9
    nothing_left(guarded_house.disk)


def test_libguestfs_refuses_what_it_cannot_mount(guarded_house: House) -> None:
    linux.partitioned(guarded_house.disk, 64 * MIB, "label: dos\n2048,,83,*\n")
    with linux.loop(guarded_house.disk, MIB, 63 * MIB) as device:
        linux.make_file_system("ext4", device)
    taken = guarded_house.snapshot("tar")
    assert taken.state is SnapshotState.FAILED
    assert taken.error == (
        "No Linux system was found on this server's disks: take a raw snapshot instead."
    )


def test_libguestfs_finds_the_root_among_subvolumes(
    guarded_house: House, tmp_path: Path, unpacked: Path
) -> None:
    tree = make_btrfs_server(guarded_house.disk, tmp_path)
    taken = guarded_house.done("tar", Options(exclude=("/.snapshots",)))
    unpack(guarded_house, taken, unpacked)
    back = describe(unpacked)
    assert without_copies(back) == without_copies(tree)
    nothing_left(guarded_house.disk)
