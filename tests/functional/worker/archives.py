"""Linux servers to make tar snapshots of, and what their archives unpack to."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.disks import linux
from tests.disks.linux import MIB

if TYPE_CHECKING:
    from portal.records import Snapshot
    from tests.functional.worker.house import House

BTRFS_DISK = 500 * MIB
BTRFS = (MIB, BTRFS_DISK - MIB)
"""Where the partition lies on it."""
ROOT_FSTAB = "UUID={root} / ext4 errors=remount-ro 0 1\n"
UNPACK = (
    *("tar", "--extract", "--xattrs", "--xattrs-include=*.*", "--acls", "--selinux"),
    *("--numeric-owner", "--same-permissions", "--same-owner", "--delay-directory-restore"),
)


def describe(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything of a tree that an archive should bring back; sockets are left out."""
    found: dict[bytes, tuple[object, ...]] = {}
    links: dict[tuple[int, int], bytes] = {}
    top = os.fsencode(root)
    for folder, names, files in os.walk(top):
        names.sort()
        for path in [folder, *(folder + b"/" + name for name in sorted(names + files))]:
            told = os.lstat(path)
            if stat.S_ISSOCK(told.st_mode) or path.endswith(b"/lost+found"):
                continue
            content: object = None
            if stat.S_ISREG(told.st_mode):
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            elif stat.S_ISLNK(told.st_mode):
                content = Path(os.fsdecode(path)).readlink()
            elif stat.S_ISBLK(told.st_mode) or stat.S_ISCHR(told.st_mode):
                content = told.st_rdev
            attributes = {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
            }
            name = path[len(top) :] or b"/"
            first = links.setdefault((told.st_dev, told.st_ino), name)
            size = told.st_size if stat.S_ISREG(told.st_mode) else 0
            found[name] = (
                *(told.st_mode, told.st_uid, told.st_gid, size, told.st_mtime_ns),
                *(content, sorted(attributes.items()), first),
            )
    return found


def unpack(house: House, taken: Snapshot, at: Path, label: str = "web-1.tar") -> bytes:
    """As the README tells; the archive, not compressed."""
    archive = house.download(taken, label)
    plain = gzip.decompress(archive) if label.endswith(".gz") else archive
    subprocess.run([*UNPACK, "--directory", at], input=plain, check=True)
    return plain


def one_partition(disk: Path, folder: Path, fstab: str = ROOT_FSTAB) -> dict[bytes, tuple]:
    """One ext4 with the whole tree; what is in it."""
    [(start, length)] = linux.partitioned(disk, 256 * MIB, "label: dos\n2048,,83,*\n")
    with linux.loop(disk, start, length) as device:
        uuid = linux.make_file_system("ext4", device)
        with linux.mounted(device, folder) as root:
            linux.make_tree(root, fstab.format(root=uuid))
            return describe(root)


def of_a_running_server_on_xfs(disk: Path, folder: Path) -> dict[bytes, tuple]:
    """As `of_a_running_server`, on XFS."""
    running = folder / "running.raw"
    [(start, length)] = linux.partitioned(running, 500 * MIB, "label: dos\n2048,,83,*\n")
    with linux.loop(running, start, length) as device:
        uuid = linux.make_file_system("xfs", device)
        with linux.mounted(device, folder / "root") as at:
            linux.make_tree(at, f"UUID={uuid} / xfs defaults 0 0\n")
        with linux.mounted(device, folder / "root") as at:
            with (at / "etc/fresh").open("wb") as file:
                file.write(b"fsynced a moment ago\n")
                file.flush()
                os.fsync(file.fileno())
            linux.copy_of_running(running, disk)
            return describe(at)


def of_a_running_server(disk: Path, folder: Path) -> dict[bytes, tuple]:
    """The tree on a disk that was copied while it was mounted, just after a file was written."""
    running = folder / "running.raw"
    one_partition(running, folder / "root")
    with (
        linux.loop(running, MIB, 255 * MIB) as device,
        linux.mounted(device, folder / "root") as at,
    ):
        with (at / "etc/fresh").open("wb") as file:
            file.write(b"fsynced a moment ago\n")
            file.flush()
            os.fsync(file.fileno())
        linux.copy_of_running(running, disk)
        return describe(at)


def make_btrfs_server(disk: Path, folder: Path) -> dict[bytes, tuple]:
    """As installers lay it out: the root is a subvolume, /home another, one more lies in the root.

    What stands in the uppermost folder is no file of the server. The result is what it sees.
    """
    linux.partitioned(disk, BTRFS_DISK, "label: dos\n2048,,83,*\n")
    with linux.loop(disk, *BTRFS) as device:
        uuid = linux.make_file_system("btrfs", device)
        with linux.mounted(device, folder / "top") as top:
            for name in ("@", "@home", "@old"):
                linux.run("btrfs", "subvolume", "create", top / name)
            (top / "in no subvolume").write_text("not seen\n")
            (top / "@home/bob").mkdir()
            (top / "@home/bob/file").write_text("bob's\n")
            root = top / "@"
            linux.make_tree(
                root,
                f"UUID={uuid} / btrfs defaults,subvol=/@ 0 0\n"
                f"UUID={uuid} /home btrfs defaults,subvol=@home 0 0\n",
            )
            (root / "var/lib").mkdir()
            linux.run("btrfs", "subvolume", "create", root / "var/lib/machines")
            (root / "var/lib/machines/one").write_text("in a subvolume of the root\n")
            linux.run("btrfs", "subvolume", "create", root / "var/lib/machines/inner")
            (root / "var/lib/machines/inner/two").write_text("deeper\n")
            (root / ".snapshots").mkdir()
            linux.run("btrfs", "subvolume", "snapshot", "-r", root, root / ".snapshots/1")
            # A system of before, by its own word not the root.
            (top / "@old/etc").mkdir()
            (top / "@old/usr").mkdir()
            (top / "@old/etc/fstab").write_text((root / "etc/fstab").read_text())
        with (
            linux.mounted(device, folder / "seen", "-o", "subvol=@") as at,
            linux.mounted(device, at / "home", "-o", "subvol=@home"),
        ):
            return describe(at)


def without_copies(tree: dict[bytes, tuple]) -> dict[bytes, tuple]:
    """A tree without what was left out of it by `/.snapshots`."""
    return {path: entry for path, entry in tree.items() if not path.startswith(b"/.snapshots/")}


def left_over(disk: Path) -> list[str]:
    """Mounts in any namespace, loop devices and processes that have to do with the disk."""
    scratch = f"{disk.parent}/scratch/"
    told = linux.run("losetup", "--list", "--noheadings", "--raw", "--output", "BACK-FILE")
    # A file of a namespace that is gone is shown as the root of what it was in.
    found = [line for line in told.splitlines() if line in {str(disk), "/"} or scratch in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mounts = (process / "mountinfo").read_text()
            command = (process / "cmdline").read_text()
        except OSError:
            continue  # it has ended
        if scratch in mounts or "worker.filesystems" in command or scratch in command:
            found.append(f"{process.name} {command}")
    return found


def nothing_left(disk: Path) -> None:
    """As soon as the kernel has cleared up."""
    ends = time.monotonic() + 20
    while (found := left_over(disk)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert found == []
