"""Disks for the tests of image formats, and what other people's tools make of an image."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    import snapcore

KIB, MIB, GIB = 1024, 1024**2, 1024**3
SECTOR = 512

DISKS: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "empty": (40 * MIB, []),
    "a sector": (512, [(0, 512)]),
    "full": (5 * MIB, [(0, 5 * MIB)]),
    "odd size": (7 * MIB + 1536, [(0, 100), (3 * MIB, 70_000), (7 * MIB, 1536)]),
    "the last sector": (33 * MIB + 512, [(33 * MIB, 512)]),
    "holes": (130 * MIB, [(at * MIB + at * 4096, 50_000 + at) for at in range(0, 128, 3)]),
    "tables": (700 * MIB, [(0, 3 * MIB), (513 * MIB, MIB), (600 * MIB + 5, 10)]),
    "large": (5 * GIB, [(0, MIB), (2 * GIB - 512, 1024), (4 * GIB + 3, 9000), (5 * GIB - 1, 1)]),
}
"""Size, and (offset, length) of data; each with a part of zeros and one that compresses."""


def make_disk(path: Path, size: int, data: Iterable[tuple[int, int]], *, seed: int = 1) -> Path:
    """A sparse file with data that neither is all noise nor all the same."""
    random = Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, length in data:
            file.seek(offset)
            noise = random.randbytes(min(length, MIB) // 2 + 1)
            file.write(((noise + b"snapport" * 4096) * (length // len(noise) + 1))[:length])
    return path


def write(stream: snapcore.Stream, path: Path) -> snapcore.Summary:
    """The stream's file: parts by their position, as a manifest joins them."""
    parts = {part.position: bytes(part) for part in stream}
    assert sorted(parts) == list(range(len(parts)))
    with path.open("wb") as file:
        for position in sorted(parts):
            file.write(parts[position])
    summary = stream.finish()
    assert summary.size == path.stat().st_size
    return summary


def compare(image: Path, format_: str, disk: Path) -> None:
    """qemu-img finds the same bytes in both; what one has more must be zeros."""
    run("qemu-img", "compare", "-f", format_, "-F", "raw", image, disk)


def compare_mounted(tool: str, image: Path, disk: Path) -> None:
    """libyal's mount (`vmdkmount`, `vhdimount`) gives the same bytes, zeros at the end aside.

    Of disks above 1 GiB every 16th MiB, and all that has data.
    """
    with tempfile.TemporaryDirectory() as folder:
        run(tool, image, folder)
        try:
            [found] = Path(folder).iterdir()
            with found.open("rb") as mounted, disk.open("rb") as original:
                size = disk.stat().st_size
                for at in range(0, size, MIB):
                    if size > GIB and at // MIB % 16 and not _has_data(original.fileno(), at):
                        continue
                    original.seek(at)
                    mounted.seek(at)
                    expected = original.read(MIB)
                    assert mounted.read(len(expected)) == expected, at
        finally:
            run("umount", folder)


def reads_the_same(opened: BinaryIO, disk: Path, data: Iterable[tuple[int, int]]) -> None:
    """A reader in Python, of whole sectors, finds what the disk has where there is data."""
    size = disk.stat().st_size
    with disk.open("rb") as original:
        for offset, length in data:
            start = offset // SECTOR * SECTOR
            count = -(-(offset + length - start) // SECTOR) * SECTOR
            opened.seek(start)
            original.seek(start)
            assert opened.read(count)[: size - start] == original.read(count)


def _has_data(file: int, at: int) -> bool:
    try:
        return os.lseek(file, at, os.SEEK_DATA) < at + MIB
    except OSError:
        return False  # nothing but a hole to the end


def run(*command: str | Path, text: str | None = None) -> str:
    """The command's output, of this input; it must succeed."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return done.stdout
