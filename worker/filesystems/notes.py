"""What tar cannot keep of a tree: chattr's flags and sockets. And what boots the server.

Paths are bytes on the server; those that are not UTF-8 are told with `\\xNN` in place of each odd
byte. Lists are bounded: a hostile tree of millions of sockets must not fill memory.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.filesystems.ahead import Ahead

MOST = 10_000
"""Entries of a list; what is beyond is counted only."""
_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS
_LETTERS = {
    0x00000008: "S",
    0x00000010: "i",
    0x00000020: "a",
    0x00000040: "d",
    0x00000080: "A",
    0x00000004: "c",
    0x00000001: "s",
    0x00000002: "u",
    0x00004000: "j",
    0x00010000: "D",
    0x00020000: "T",
    0x00800000: "C",
    0x20000000: "P",
}
"""Flags that somebody sets, by chattr(1)'s letters; the others are the file system's own."""
_ANY = sum(_LETTERS)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def shown(path: bytes) -> str:
    """A path for snapshot.json."""
    return path.decode("utf-8", "backslashreplace")


class _Listed:
    """Entries with a bound: what is beyond is counted only."""

    def __init__(self) -> None:
        self.count = 0
        self.entries: list[Any] = []

    def note(self, entry: Any) -> None:
        self.count += 1
        if len(self.entries) < MOST:
            self.entries.append(entry)

    def sorted(self) -> list[Any]:
        return sorted(self.entries)


def walk(root: bytes, members: list[bytes], ahead: Ahead) -> dict[str, Any]:
    """The flags and sockets below a folder, by paths from it on; links are not followed.

    `members` are what tar archives, paths from the root on: each is walked without what is below
    another, in tar's order, so that `ahead` can bring every file before tar comes to it.
    """
    walked = _Walk(root, set(members), ahead)
    for member in members:
        walked.through(member)
    counts = {"flags": walked.flags.count, "sockets": walked.sockets.count}
    return {
        "flags": walked.flags.sorted(),
        "sockets": walked.sockets.sorted(),
        "counts": counts,
    }


class _Walk:
    """It runs beside tar on the same cores, so it asks for no more than it needs."""

    def __init__(self, root: bytes, members: set[bytes], ahead: Ahead) -> None:
        self._root = root
        self._members = members
        self._ahead = ahead
        self.flags = _Listed()
        self.sockets = _Listed()

    def through(self, member: bytes) -> None:
        """What is below a member: a folder's entries by their names, each folder where it comes."""
        # The folders that lead to where it is, each with what is yet to come in it. One is open.
        way = [(member, self._listed(member))]
        while way:
            folder, entries = way[-1]
            below = self._until_folder(folder, entries)
            if below is None:
                way.pop()
            elif below not in self._members:
                way.append((below, self._listed(below)))

    def _listed(self, folder: bytes) -> Iterator[tuple[bytes, int]]:
        opened = _opened(self._root + folder)
        if opened is None:
            return  # tar says what cannot be read
        try:
            self._note(folder or b"/", opened)
            entries = _entries(opened)
            while len(batch := sorted(islice(entries, MOST))) == MOST:
                yield from batch
        finally:
            os.close(opened)
        # Not held open: a folder below may be as deep as it likes.
        yield from batch

    def _until_folder(self, folder: bytes, entries: Iterator[tuple[bytes, int]]) -> bytes | None:
        """Notes entries up to the next folder, which is returned; None at the end."""
        within = _opened(self._root + folder)
        if within is None:
            return None
        try:
            for name, kind in entries:
                path = folder + b"/" + name
                if kind == stat.S_IFDIR:
                    return path
                if kind == stat.S_IFSOCK:
                    self.sockets.note(shown(path))
                elif (file := _opened(name, within=within)) is not None:
                    try:
                        self._note(path, file)
                        self._ahead.bring(path, file)
                    finally:
                        os.close(file)
        finally:
            os.close(within)
        return None

    def _note(self, path: bytes, opened: int) -> None:
        letters = _flags(opened)
        if letters:
            self.flags.note((shown(path), letters))


def _entries(folder: int) -> Iterator[tuple[bytes, int]]:
    """The files, folders and sockets that are in a folder."""
    try:
        entries = os.scandir(folder)
    except OSError:
        return  # no folder: what is there changed its type
    with entries:
        for entry in entries:
            try:
                # The folder itself tells these, nearly everywhere.
                if entry.is_file(follow_symlinks=False):
                    yield os.fsencode(entry.name), stat.S_IFREG
                elif entry.is_dir(follow_symlinks=False):
                    yield os.fsencode(entry.name), stat.S_IFDIR
                elif not entry.is_symlink() and stat.S_ISSOCK(
                    entry.stat(follow_symlinks=False).st_mode
                ):
                    yield os.fsencode(entry.name), stat.S_IFSOCK
            except OSError:
                continue


def _opened(path: bytes, *, within: int | None = None) -> int | None:
    try:
        return os.open(path, _OPEN, dir_fd=within)
    except OSError:
        return None


def _flags(opened: int) -> str:
    try:
        told = fcntl.ioctl(opened, _GET_FLAGS, bytes(8))
    except OSError:
        return ""  # a file system without flags
    bits = struct.unpack_from("=L", told)[0]
    if not bits & _ANY:
        return ""
    return "".join(letter for bit, letter in _LETTERS.items() if bits & bit)


def boot_loader(exists: Callable[[str], bool]) -> dict[str, Any]:
    """What boots the server, as far as its files tell; `exists` answers for its paths."""

    def there(*paths: str) -> bool:
        return any(exists(path) for path in paths)

    loaders = {
        "grub": there("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg"),
        "extlinux": there("/boot/extlinux/extlinux.conf", "/extlinux.conf"),
        "systemd-boot": there("/boot/loader/loader.conf", "/boot/efi/loader/loader.conf"),
    }
    return {
        "loaders": [name for name, found in loaders.items() if found],
        "efi": there("/boot/efi/EFI", "/efi/EFI", "/boot/EFI"),
    }
