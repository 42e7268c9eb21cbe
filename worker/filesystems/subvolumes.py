"""Subvolumes of btrfs that no fstab mounts: they show as folders, and are devices of their own.

tar is told to stay on one file system, so it must be told of them too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_FIRST_INODE = 256
"""Of every subvolume, btrfs(5)."""


def directly_in(folder: bytes) -> Iterator[bytes]:
    """The names of those in the folder itself."""
    device = os.lstat(folder).st_dev
    for name, told in _folders(folder):
        if _is_one(told, device):
            yield name


def below(root: bytes, top: bytes, leave: Container[bytes]) -> Iterator[bytes]:
    """Those below the folder `top` of `root`, each before those in it; paths as the server's.

    Folders in `leave`, which are such paths too, are not looked into.
    """
    waiting = [(top, os.lstat(root + top).st_dev)]
    while waiting:
        folder, device = waiting.pop()
        for name, told in _folders(root + folder):
            path = folder.rstrip(b"/") + b"/" + name
            if path in leave:
                continue
            if _is_one(told, device):
                yield path
            waiting.append((path, told.st_dev))


def _folders(folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Those in a folder; what cannot be read is passed over: tar says it."""
    try:
        entries = os.scandir(folder)
    except OSError:
        return
    with entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False)
            except OSError:
                continue


def _is_one(told: os.stat_result, device: int) -> bool:
    return told.st_dev != device and told.st_ino == _FIRST_INODE
