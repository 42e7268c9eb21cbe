"""File systems that libguestfs reads: in a small machine of their own, for disks nobody trusts.

A crafted file system may break the kernel that mounts it; here that is the kernel of a virtual
machine that holds nothing else. It is slower: the machine has to start (15 to 30 s without KVM).
"""

from __future__ import annotations

import math
import os
import re
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import snapcore
import structlog

from portal.domain.errors import DiskUnavailable, SnapportError, Unsuitable
from worker.filesystems import fstab, notes, startup
from worker.filesystems.guestfish import Failed, Guestfish
from worker.filesystems.initramfs import NotKnown
from worker.filesystems.reading import TarStream
from worker.filesystems.tree import RAW, NotMounted, Refused, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from worker.filesystems.volumes import Volume
    from worker.heartbeat import Heartbeat

log = structlog.get_logger()

_ENDED = "The server's files could not be read to the end, so the snapshot was stopped."
_SUBVOLUMES = 100
"""Looked into for the root of a system."""
_SUBVOLUME = re.compile(r"^ *btrfssubvolume_path: (.+)$", re.MULTILINE)
_FIELD = re.compile(r"^(bfree|blocks|frsize): (\d+)$", re.MULTILINE)


class GuestView:
    """A `tree.View` and a `startup.View`; `scratch` is the machine's folder."""

    pieces = True

    def __init__(self, guest: Guestfish, scratch: Path) -> None:
        self._guest = guest
        self._scratch = scratch
        self.replayed: list[str] = []  # libguestfs replays by itself, and does not say so

    def mount(self, volume: dict[str, Any], path: str, *, subvolume: str = "") -> None:
        """Mount, read-only, over an overlay of libguestfs's own. Raises `NotMounted`."""
        options = ",".join(["ro", *([subvolume] if subvolume else [])])
        command = ("mount-vfs", options, volume["type"], volume["device"], path)
        if self._guest.ask(*command) is None:
            raise NotMounted(self._guest.last_words())

    def unmount_root(self) -> None:
        """Unmount what is at /."""
        self._guest.ask("umount-all")

    def fstab(self) -> str | None:
        """The text of /etc/fstab, where this is the root of a Linux system."""
        if not any(self._true("exists", path) for path in ("/sbin", "/bin", "/usr")):
            return None
        if not self.is_plain_folder("/etc") or not self._true("is-file", "/etc/fstab"):
            return None
        size = self._guest.ask("filesize", "/etc/fstab")
        if size is None or int(size) > fstab.MOST_BYTES:
            return None
        return self._guest.ask("cat", "/etc/fstab")

    def subvolumes(self) -> list[str]:
        """Of a btrfs that is mounted at /: its subvolumes in the uppermost folder, by name."""
        told = self._guest.ask("btrfs-subvolume-list", "/") or ""
        names = {name for name in _SUBVOLUME.findall(told) if "/" not in name}
        return sorted(name for name in names if fstab.is_subvolume(name))[:_SUBVOLUMES]

    def is_plain_folder(self, path: str) -> bool:
        """Whether it is a folder, without a link on the way."""
        names = path.strip("/").split("/")
        folders = ("/" + "/".join(names[:count]) for count in range(1, len(names) + 1))
        return all(self._true("is-dir", folder) for folder in folders)

    def used(self, path: str) -> int:
        """Bytes used on the file system that is mounted there."""
        told = dict(_FIELD.findall(self._guest.ask("statvfs", path) or ""))
        return (int(told["blocks"]) - int(told["bfree"])) * int(told["frsize"]) if told else 0

    def details(self, volume: dict[str, Any], path: str) -> dict[str, str]:  # noqa: ARG002
        """What making an ext file system anew needs."""
        if volume["type"] != "ext4":
            return {}
        told = self._guest.ask("tune2fs-l", volume["device"]) or ""
        wanted = ("Filesystem features", "Block size", "Inode size", "Inode count", "Block count")
        pairs = (line.partition(":") for line in told.splitlines())
        return {name: value.strip() for name, _, value in pairs if name in wanted}

    def boot_loader(self) -> dict[str, Any]:
        """What boots the server, as far as its files tell."""
        return notes.boot_loader(lambda path: self._true("exists", path))

    def names(self, folder: str) -> list[str]:
        """What is in a folder; nothing where it is none. A name of two lines is told as two."""
        if not self.is_plain_folder(folder):
            return []
        return (self._guest.ask("ls", folder) or "").splitlines()

    def open(self, path: str, most: int) -> BinaryIO | None:
        """A plain file of at most so many bytes, fetched here; None where it is none."""
        folder, _, _ = path.rpartition("/")
        if not self.is_plain_folder(folder) or not self._true("is-file", path):
            return None
        size = self._guest.ask("filesize", path)
        fetched = self._scratch / "fetched"
        if size is None or int(size) > most:
            return None
        if self._guest.ask("download", path, str(fetched)) is None:
            return None
        file = fetched.open("rb")
        fetched.unlink()
        return file

    def _true(self, *command: str) -> bool:
        return (self._guest.ask(*command) or "").strip() == "true"


class GuestReading:
    """As `reading.Reading`, by libguestfs. A context manager."""

    def __init__(
        self,
        volumes: Sequence[Volume],
        scratch: Path,
        heartbeat: Heartbeat,
        *,
        kvm: bool,
        only: Iterable[str] | None = None,
    ) -> None:
        disks = dict.fromkeys(path for _number, path in sorted({(v.disk, v.path) for v in volumes}))
        self._guest = Guestfish(list(disks), scratch, heartbeat, kvm=kvm)
        self._view = GuestView(self._guest, scratch)
        self._tree = Tree(self._view, [one.as_json() for one in volumes])
        self._only = None if only is None else frozenset(only)
        self._writer: threading.Thread | None = None
        self._ended = False
        self.report: dict[str, Any] = {}
        self.result: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Start the machine and mount. Raises `Unsuitable`."""
        try:
            self._guest.start()
            self.report = self._tree.mount(self._only)
        except Failed as failed:
            self._close()
            log.error("libguestfs failed", reason=str(failed))
            raise DiskUnavailable(_ENDED) from failed
        except Refused as refused:
            self._close()
            log.info("files not taken", reason=refused.detail)
            raise Unsuitable(str(refused)) from refused
        except fstab.Unusable as unusable:
            self._close()
            raise Unsuitable(f"{unusable} So its files cannot be taken: {RAW}") from unusable
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the machine."""
        self._close()

    def _close(self) -> None:
        self._guest.close()
        if self._writer is not None:
            self._writer.join()
        self._guest.let_go()

    def archive(self, exclude: Sequence[str], *, gzip: bool, threads: int) -> TarStream:
        """Start the archive."""
        options = ["numericowner:true", "xattrs:true", "selinux:true", "acls:true"]
        patterns = self._tree.patterns(exclude)
        if patterns:
            options.append("excludes:" + " ".join(_spaced(pattern) for pattern in patterns))
        reading, writing = os.pipe()
        try:
            stream = snapcore.pipe(reading, gzip=gzip, threads=threads)
        finally:
            os.close(reading)
        self._guest.tell("tar-out", "/", f"/proc/{os.getpid()}/fd/{writing}", *options)
        self._writer = threading.Thread(target=self._wait, args=(writing,), name="guestfish")
        self._writer.start()
        return TarStream(stream, self)

    def drivers(self, wanted: Sequence[str]) -> dict[str, Any]:
        """What the server starts with (`startup.look`). Raises `NotKnown`."""
        try:
            return startup.look(self._view, wanted)
        except (Failed, OSError) as error:
            raise NotKnown(str(error)) from error

    def _wait(self, writing: int) -> None:
        """Hold the pipe open until the command has ended: it may fail before it opens it itself."""
        try:
            self._ended = self._guest.hear(seconds=math.inf) is not None
        except (Failed, SnapportError, ValueError) as error:  # a ValueError: it was closed
            log.warning("the archive was not ended", reason=str(error))
        finally:
            os.close(writing)

    def end(self) -> None:
        """Wait for the archive's writer. Raises `DiskUnavailable` unless it ended well."""
        if self._writer is not None:
            self._writer.join()
        if not self._ended:
            log.error("tar failed in libguestfs", said=self._guest.last_words())
            raise DiskUnavailable(_ENDED)
        self.result = {
            "flags": [],
            "sockets": [],
            "subvolumes": [],
            "counts": "not told by libguestfs",
        }


def _spaced(pattern: str) -> str:
    """One entry of a list in a word: guestfish splits lists at blanks, but for quoted ones."""
    if not re.search(r"[\s'\"]", pattern):
        return pattern
    return "'" + pattern.replace("'", "?") + "'"
