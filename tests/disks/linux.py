"""Disks of small Linux servers, with real file systems that are mounted while they are filled."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from worker.filesystems.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
_TREE = Path(__file__).with_name("linux-tree.sh")
_MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "ext2": ("mkfs.ext2", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}


def run(*command: str | Path, text: str | None = None) -> str:
    """The command's output; it must succeed."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@contextmanager
def loop(disk: Path, start: int = 0, length: int = 0) -> Iterator[str]:
    """A stretch of the disk as a loop device; 0 is all that follows.

    It is held open: losetup lets go of it, and somebody else may clear it before it is mounted.
    """
    device = Loop(str(disk), start=start, length=length)
    try:
        yield device.path
    finally:
        device.close()


@contextmanager
def mounted(device: str, at: Path, *options: str) -> Iterator[Path]:
    """A file system, mounted."""
    at.mkdir(parents=True, exist_ok=True)
    run("mount", *options, device, at)
    try:
        yield at
    finally:
        # Who cloned this mount meanwhile keeps it: what was written is on the disk all the same.
        run("sync", "--file-system", at)
        run("umount", at)


def copy_of_running(disk: Path, to: Path) -> None:
    """The disk as it is at one moment, while it is mounted.

    The kernel may write to it at any time: what was read twice without a difference did not change
    from one reading to the next.
    """
    alike = False
    while not alike:
        to.write_bytes(disk.read_bytes())
        alike = subprocess.run(["cmp", "--quiet", disk, to], check=False).returncode == 0


def make_tree(root: Path, fstab: str) -> None:
    """Fill a root with everything that an archive may lose."""
    run(_TREE, root)
    (root / "etc/fstab").write_text(fstab)


def make_file_system(kind: str, device: str, *, label: str = "") -> str:
    """Its UUID."""
    run(*_MKFS[kind], *(("-L", label) if label else ()), device)
    return run("blkid", "-p", "-o", "value", "-s", "UUID", device).strip()


def partitioned(disk: Path, size: int, script: str) -> list[tuple[int, int]]:
    """Make the disk, sparse, with these partitions (sfdisk's script); their starts and lengths."""
    with disk.open("wb") as file:
        file.truncate(size)
    run("sfdisk", "--quiet", disk, text=script)
    table = run("sfdisk", "--dump", disk)
    found = []
    for line in table.splitlines():
        if "start=" in line:
            pairs = (pair.partition("=") for pair in line.partition(" : ")[2].split(","))
            values = {name.strip(): value.strip() for name, _, value in pairs}
            found.append((int(values["start"]) * 512, int(values["size"]) * 512))
    return found
