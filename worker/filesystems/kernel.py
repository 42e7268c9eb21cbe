"""File systems that the host's kernel mounts, below one folder."""

from __future__ import annotations

import os
import stat
import subprocess
from itertools import islice
from typing import TYPE_CHECKING, Any

from worker.filesystems import fstab, notes, subvolumes
from worker.filesystems.mounts import Mounter

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_NAMES_MOST = 10_000
"""Entries of a folder; a hostile one has millions."""


_SUBVOLUMES = 100
"""Looked into for the root of a system."""


class KernelView:
    """A `tree.View` and a `startup.View`; `scratch` is a folder of its own."""

    pieces = False

    def __init__(self, scratch: Path) -> None:
        self.root = scratch / "root"
        self.root.mkdir()
        self._mounter = Mounter(scratch)
        self.replayed = self._mounter.replayed

    def mount(self, volume: dict[str, Any], path: str, *, subvolume: str = "") -> None:
        """Mount, read-only. Raises `NotMounted`."""
        self._mounter.mount(volume, self._at(path), subvolume=subvolume)

    def unmount_root(self) -> None:
        """Unmount what is at /."""
        self._mounter.unmount(self.root)

    def fstab(self) -> str | None:
        """The text of /etc/fstab, where this is the root of a Linux system."""
        return _fstab_of(self.root)

    def subvolumes(self) -> list[str]:
        """Of a btrfs that is mounted at /: its subvolumes in the uppermost folder, by name."""
        names = (
            name.decode(errors="replace") for name in subvolumes.directly_in(os.fsencode(self.root))
        )
        return sorted(name for name in names if fstab.is_subvolume(name))[:_SUBVOLUMES]

    def is_plain_folder(self, path: str) -> bool:
        """Whether it is a folder, without a link on the way."""
        return _is_plain_folder(self.root, path)

    def used(self, path: str) -> int:
        """Bytes used on the file system that is mounted there."""
        told = os.statvfs(self._at(path))
        return (told.f_blocks - told.f_bfree) * told.f_frsize

    def details(self, volume: dict[str, Any], path: str) -> dict[str, str]:
        """What making the file system anew needs."""
        return _details(volume["type"], self._at(path))

    def boot_loader(self) -> dict[str, Any]:
        """What boots the server, as far as its files tell."""
        return notes.boot_loader(lambda path: os.path.lexists(f"{self.root}{path}"))

    def names(self, folder: str) -> list[str]:
        """What is in a folder; nothing where it is none."""
        if not self.is_plain_folder(folder):
            return []
        with os.scandir(self._at(folder)) as entries:
            return [entry.name for entry in islice(entries, _NAMES_MOST)]

    def open(self, path: str, most: int) -> BinaryIO | None:
        """A plain file of at most so many bytes; None where it is none."""
        if not self.is_plain_folder(os.path.dirname(path)):  # noqa: PTH120  # of the server
            return None
        file = _opened(self._at(path))
        if file is not None and os.fstat(file.fileno()).st_size > most:
            file.close()
            return None
        return file

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def _fstab_of(root: Path) -> str | None:
    """The text, where this is the root of a Linux system; foreign links are not followed."""
    if not any(os.path.lexists(root / name) for name in ("sbin", "bin", "usr")):
        return None
    if not _is_plain_folder(root, "/etc"):
        return None
    file = _opened(root / "etc/fstab")
    if file is None:
        return None
    with file:
        return file.read(fstab.MOST_BYTES).decode(errors="replace")


def _opened(path: Path) -> BinaryIO | None:
    """A plain file; None for what is none, which is neither followed nor waited for."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        return None
    return os.fdopen(opened, "rb")


def _is_plain_folder(root: Path, path: str) -> bool:
    """Whether the path is a folder, without a link on the way."""
    at = root
    for name in path.strip("/").split("/"):
        at = at / name
        try:
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                return False
        except OSError:
            return False
    return True


def _details(kind: str, at: Path) -> dict[str, str]:
    """What making the file system anew needs: its tool's own words, by name."""
    command = {
        "ext4": ["dumpe2fs", "-h"],
        "xfs": ["xfs_info"],
    }.get(kind)
    if command is None:
        return {}
    device = _device_of(at)
    told = subprocess.run(  # noqa: S603
        [*command, device], capture_output=True, text=True, check=False
    ).stdout
    if kind == "xfs":
        return {"xfs_info": told.replace(device, "DEVICE")[:4000]}
    wanted = ("Filesystem features", "Block size", "Inode size", "Inode count", "Block count")
    pairs = (line.partition(":") for line in told.splitlines())
    return {name: value.strip() for name, _, value in pairs if name in wanted}


def _device_of(at: Path) -> str:
    """The device that is mounted there, as proc(5) tells it; empty where it does not."""
    wanted = str(at).translate({ord(c): f"\\{ord(c):03o}" for c in " \t\n\\"})
    with open("/proc/self/mountinfo") as mounts:  # noqa: PTH123  # of the kernel
        for line in mounts:
            mount, _, rest = line.partition(" - ")
            if mount.split()[4] == wanted:
                return rest.split()[1]
    return ""
