"""Tar snapshots: unpacked by GNU tar as the README tells, they are the server's files again."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import SnapshotState
from portal.domain.options import Options
from tests.disks import linux
from tests.disks.linux import MIB
from tests.functional.worker.archives import describe, nothing_left, one_partition, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.worker.house import House


def test_everything_comes_back(house: House, tmp_path: Path, unpacked: Path) -> None:
    tree = one_partition(house.disk, tmp_path / "root")
    before = hashlib.sha256(house.disk.read_bytes()).hexdigest()
    taken = house.done("tar")
    assert hashlib.sha256(house.disk.read_bytes()).hexdigest() == before
    unpack(house, taken, unpacked)
    back = describe(unpacked)
    assert back.keys() == tree.keys()
    for path, entry in tree.items():
        assert back[path] == entry, path
    sparse = unpacked / "var/log/sparse"
    assert sparse.stat().st_blocks * 512 < MIB < sparse.stat().st_size
    machine = house.index(taken)["machine"]
    assert machine["sockets"] == ["/var/socket"]
    assert dict(machine["flags"]) == {"/etc/frozen": "i", "/etc/nodump": "d"}
    assert machine["tables"][0]["label"] == "dos"
    [file_system] = machine["file_systems"]
    assert (file_system["mount"], file_system["type"]) == ("/", "ext4")
    assert file_system["details"]["Block size"] == "1024"
    assert file_system["uuid"] in machine["fstab"]
    nothing_left(house.disk)


def test_all_file_systems_of_its_fstab(sqlite_house: House, tmp_path: Path, unpacked: Path) -> None:
    """/ on ext4, /boot on ext2, /srv on XFS, on two of them by other names than the UUID."""
    disk = sqlite_house.disk
    script = "label: gpt\n2048,65536\n67584,262144\n329728,655360\n985088,20480,S\n"
    boot, root, srv, _swap = linux.partitioned(disk, 500 * MIB, script)
    with linux.loop(disk, *boot) as device:
        linux.make_file_system("ext2", device, label="boot")
        with linux.mounted(device, tmp_path / "boot") as at:
            (at / "vmlinuz").write_bytes(b"kernel")
            (at / "extlinux").mkdir()
            (at / "extlinux/extlinux.conf").write_text("default linux\n")
    with linux.loop(disk, *srv) as device:
        linux.make_file_system("xfs", device)
        with linux.mounted(device, tmp_path / "srv") as at:
            (at / "data").write_bytes(b"data" * 100_000)
            linux.run("setfacl", "-m", "u:1000:rw", at / "data")
    with linux.loop(disk, *root) as device:
        uuid = linux.make_file_system("ext4", device)
        with linux.mounted(device, tmp_path / "root") as at:
            linux.make_tree(
                at,
                f'UUID="{uuid.upper()}" / ext4 defaults 0 1\n'
                "LABEL=boot /boot ext2 defaults 0 2\n"
                "/dev/vda3 /srv xfs defaults 0 2\n"
                "proc /proc proc defaults 0 0\n"
                "/dev/vda4 none swap sw 0 0\n"
                "/dev/sr0 /media/cdrom udf,iso9660 user,noauto 0 0\n"
                "UUID=gone /mnt ext4 nofail 0 0\n",
            )
            for name in ("boot", "srv", "proc"):
                (at / name).mkdir()
    taken = sqlite_house.done("tar")
    plain = unpack(sqlite_house, taken, unpacked)
    assert (unpacked / "boot/vmlinuz").read_bytes() == b"kernel"
    assert (unpacked / "srv/data").read_bytes() == b"data" * 100_000
    assert "system.posix_acl_access" in os.listxattr(unpacked / "srv/data")
    names = subprocess.run(
        ["tar", "--list"], input=plain, capture_output=True, check=True
    ).stdout.splitlines()
    assert names.index(b"./usr/") < names.index(b"./boot/vmlinuz") < names.index(b"./srv/data")
    machine = sqlite_house.index(taken)["machine"]
    assert [one["mount"] for one in machine["file_systems"]] == ["/", "/boot", "/srv"]
    assert machine["boot"]["loaders"] == ["extlinux"]
    nothing_left(sqlite_house.disk)


def test_logical_volumes(sqlite_house: House, tmp_path: Path, unpacked: Path) -> None:
    disk = sqlite_house.disk
    [(start, length)] = linux.partitioned(disk, 256 * MIB, "label: dos\n2048,,8e,*\n")
    with linux.loop(disk, start, length) as device:
        lvm(tmp_path, device, "pvcreate", device)
        lvm(tmp_path, device, "vgcreate", "sys-group", device)
        for name, size in (("root", "96M"), ("home", "48M")):
            lvm(
                tmp_path,
                device,
                "lvcreate",
                "-an",
                "-Zn",
                "-Wn",
                "-n",
                name,
                "-L",
                size,
                "sys-group",
            )
    home = (start + MIB + 96 * MIB, 48 * MIB)
    root = (start + MIB, 96 * MIB)
    with linux.loop(disk, *home) as device:
        linux.make_file_system("ext4", device)
        with linux.mounted(device, tmp_path / "home") as at:
            (at / "bob").mkdir()
            (at / "bob/file").write_text("bob's\n")
    with linux.loop(disk, *root) as device:
        linux.make_file_system("ext4", device)
        with linux.mounted(device, tmp_path / "root") as at:
            linux.make_tree(
                at,
                "/dev/mapper/sys--group-root / ext4 defaults 0 1\n"
                "/dev/sys-group/home /home ext4 defaults 0 2\n",
            )
    taken = sqlite_house.done("tar")
    unpack(sqlite_house, taken, unpacked)
    assert (unpacked / "home/bob/file").read_text() == "bob's\n"
    assert not (unpacked / "home/ann").exists()  # hidden below the mount, as on the server


def test_what_stands_only_in_the_journal_is_there(
    sqlite_house: House, tmp_path: Path, unpacked: Path
) -> None:
    """The disk of a server that runs: its journal is replayed, on an overlay."""
    disk, running = sqlite_house.disk, tmp_path / "running.raw"
    one_partition(running, tmp_path / "root")
    with (
        linux.loop(running, MIB, 255 * MIB) as device,
        linux.mounted(device, tmp_path / "root") as at,
    ):
        with (at / "etc/fresh").open("wb") as file:
            file.write(b"fsynced a moment ago\n")
            file.flush()
            os.fsync(file.fileno())
        linux.copy_of_running(running, disk)
    assert "needs_recovery" in linux.run("dumpe2fs", "-h", f"{disk}?offset={MIB}")
    before = hashlib.sha256(disk.read_bytes()).hexdigest()
    taken = sqlite_house.done("tar")
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == before
    unpack(sqlite_house, taken, unpacked)
    assert (unpacked / "etc/fresh").read_bytes() == b"fsynced a moment ago\n"
    assert sqlite_house.index(taken)["machine"]["file_systems"][0]["replayed"] is True
    nothing_left(sqlite_house.disk)


def test_gzip_and_exclusions(sqlite_house: House, tmp_path: Path, unpacked: Path) -> None:
    one_partition(sqlite_house.disk, tmp_path / "root")
    exclude = ("/var/cache/apt", "/tmp", "/swapfile", "/usr/bin/tool1*", "/odd names/[star]*")
    taken = sqlite_house.done("tar", Options(gzip=True, exclude=exclude))
    unpack(sqlite_house, taken, unpacked, "web-1.tar.gz")
    assert (unpacked / "var/cache/apt").is_dir()
    assert not list((unpacked / "var/cache/apt").iterdir())
    assert not list((unpacked / "tmp").iterdir())
    assert not (unpacked / "swapfile").exists()
    assert {path.name for path in (unpacked / "usr/bin").glob("tool[123]")} == {"tool2", "tool3"}
    assert sqlite_house.index(taken)["machine"]["excluded"] == list(exclude)


def test_a_second_one_sends_little(sqlite_house: House, tmp_path: Path) -> None:
    one_partition(sqlite_house.disk, tmp_path / "root")
    with (
        linux.loop(sqlite_house.disk, MIB, 255 * MIB) as device,
        linux.mounted(device, tmp_path / "root") as at,
    ):
        (at / "srv").mkdir()
        (at / "srv/data").write_bytes(os.urandom(120 * MIB))
    first = sqlite_house.done("tar")
    again = sqlite_house.done("tar")
    assert (again.sent, again.reused) == (0, first.size)
    with (
        linux.loop(sqlite_house.disk, MIB, 255 * MIB) as device,
        linux.mounted(device, tmp_path / "root") as at,
    ):
        (at / "etc/new").write_text("a new file\n" * 1000)
        (at / "usr/bin/tool7").unlink()
    third = sqlite_house.done("tar")
    assert first.size is not None
    assert third.sent < first.size // 2
    assert third.reused > 0


@pytest.mark.parametrize(
    ("fstab", "sentence"),
    [
        ("UUID=0-0 /data ext4 defaults 0 2\n", "mounts /data from “UUID=0-0”, which is on none"),
        ("UUID={root} / ext4 defaults 0 1\nUUID={root} / ext4 x 0 1\n", "mounts / twice"),
        ("UUID={root} /etc/link ext4 defaults 0 1\n", "/etc/link is no plain folder"),
        ("UUID={root} /a/../.. ext4 defaults 0 1\n", "a mount point that is no plain path"),
    ],
)
def test_an_fstab_that_cannot_be_followed(
    sqlite_house: House, tmp_path: Path, fstab: str, sentence: str
) -> None:
    one_partition(sqlite_house.disk, tmp_path / "root", fstab)
    taken = sqlite_house.snapshot("tar")
    assert taken.state is SnapshotState.FAILED
    assert sentence in (taken.error or "")
    assert (taken.error or "").endswith("take a raw snapshot instead.")
    assert sqlite_house.objects() == set()
    nothing_left(sqlite_house.disk)


def test_a_disk_without_linux_is_refused(sqlite_house: House) -> None:
    taken = sqlite_house.snapshot("tar")
    assert taken.state is SnapshotState.FAILED
    assert taken.error == (
        "No Linux file system was found on this server's disks: take a raw snapshot instead."
    )


def test_links_in_the_tree_lead_nowhere_else(sqlite_house: House, tmp_path: Path) -> None:
    """/etc is a link to the host's: its fstab is not the server's."""
    [(start, length)] = linux.partitioned(sqlite_house.disk, 64 * MIB, "label: dos\n2048,,83,*\n")
    with linux.loop(sqlite_house.disk, start, length) as device:
        linux.make_file_system("ext4", device)
        with linux.mounted(device, tmp_path / "root") as at:
            (at / "usr").mkdir()
            (at / "etc").symlink_to("/etc")
    taken = sqlite_house.snapshot("tar")
    assert taken.state is SnapshotState.FAILED
    assert "No Linux system was found" in (taken.error or "")


def lvm(folder: Path, device: str, *command: str) -> None:
    """LVM without the system's own configuration, and without a device mapper."""
    system = folder / "lvm"
    system.mkdir(exist_ok=True)
    name, *rest = command
    done = subprocess.run(
        ["lvm", name, "--driverloaded", "n", "--devices", device, *rest],
        env={**os.environ, "LVM_SYSTEM_DIR": str(system), "LVM_SUPPRESS_FD_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
