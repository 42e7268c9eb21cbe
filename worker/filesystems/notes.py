"""What tar cannot keep of a tree: chattr's flags and sockets. And what boots the server.

Paths are bytes on the server; those that are not UTF-8 are told with `\\xNN` in place of each odd
byte. Lists are bounded: a hostile tree of millions of sockets must not fill memory.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def shown(path: bytes) -> str:
    """A path for snapshot.json."""
    return path.decode("utf-8", "backslashreplace")


def walk(root: bytes) -> dict[str, Any]:
    """The flags and sockets below a folder, by paths from it on."""
    flags: list[tuple[str, str]] = []
    sockets: list[str] = []
    counts = {"flags": 0, "sockets": 0}
    for path, kind in _entries(root):
        name = shown(path[len(root) :]) or "/"
        if stat.S_ISSOCK(kind):
            counts["sockets"] += 1
            if len(sockets) < MOST:
                sockets.append(name)
        elif stat.S_ISREG(kind) or stat.S_ISDIR(kind):
            letters = _flags(path)
            if letters:
                counts["flags"] += 1
                if len(flags) < MOST:
                    flags.append((name, letters))
    return {"flags": sorted(flags), "sockets": sorted(sockets), "counts": counts}


def _entries(root: bytes) -> Iterator[tuple[bytes, int]]:
    """Every path with its type, folders before their content; links are not followed."""
    yield root, stat.S_IFDIR
    folders = [root]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue  # tar says what cannot be read
        with entries:
            for entry in entries:
                try:
                    kind = entry.stat(follow_symlinks=False).st_mode
                except OSError:
                    continue
                yield entry.path, kind
                if stat.S_ISDIR(kind):
                    folders.append(entry.path)


def _flags(path: bytes) -> str:
    try:
        opened = os.open(path, _OPEN)
    except OSError:
        return ""
    try:
        told = fcntl.ioctl(opened, _GET_FLAGS, bytes(8))
    except OSError:
        return ""  # a file system without flags
    finally:
        os.close(opened)
    bits = struct.unpack("=L", told[:4])[0]
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
