"""Disks for the corner cases of size: mostly holes, or no hole at all.

The bytes come from a seeded generator: the same arguments give the same disk.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

MIB = 1024**2
_BLOCK = 64 * 1024


def sparse_disk(path: Path, size: int, *, data: int = 0, spread: int = 16, seed: int = 1) -> Path:
    """A disk of `size` bytes, `data` of them in `spread` runs at even distances, else holes.

    What is written compresses about as well as files do, and no run equals another.
    """
    with path.open("wb") as disk:
        disk.truncate(size)
        run = data // spread if spread else 0
        if run > size // max(spread, 1):
            raise ValueError("there is more data than disk")
        for number in range(spread if run else 0):
            disk.seek(number * (size // spread) // _BLOCK * _BLOCK)
            write_filler(disk, run, seed=seed + number)
    return path


def dense_disk(path: Path, size: int, *, seed: int = 1) -> Path:
    """A disk of `size` bytes without a hole or a run of zeros."""
    with path.open("wb") as disk:
        write_filler(disk, size, seed=seed)
    return path


def write_filler(disk: BinaryIO, size: int, *, seed: int) -> None:
    """`size` bytes: blocks of 64 KiB, half noise, half a text of 64 letters' choice."""
    source = random.Random(seed)
    letters = bytes(32 + (number % 64) for number in range(256))
    left = size
    while left > 0:
        noise = source.randbytes(_BLOCK // 2)
        block = noise + source.randbytes(_BLOCK // 2).translate(letters)
        disk.write(block[:left])
        left -= len(block)
