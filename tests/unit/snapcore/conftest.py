"""Disks for these tests."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

type_of_run = tuple[int, bytes]
MIB = 1 << 20


@pytest.fixture
def make_disk(tmp_path: Path) -> Callable[..., Path]:
    """Makes a sparse file of a size, with runs of bytes at offsets."""

    def make(size: int, *runs: type_of_run, name: str = "disk.img") -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(size)
            for offset, content in runs:
                file.seek(offset)
                file.write(content)
        assert path.stat().st_size == size
        return path

    return make


@pytest.fixture
def mixed_disk(make_disk: Callable[..., Path]) -> Path:
    """Noise, text, written zeros and holes; several parts, an odd size."""
    noise = random.Random(7).randbytes(20 * MIB)
    return make_disk(
        90 * MIB + 12_345,
        (3 * MIB + 77, noise),
        (50 * MIB, b"snapshots of a house " * 200_000),
        (70 * MIB, bytes(2 * MIB)),
        (90 * MIB + 12_000, b"the last bytes"),
    )


@pytest.fixture
def loop_device(make_disk: Callable[..., Path]) -> Iterator[tuple[str, Path]]:
    """A block device over a file of 48 MiB of noise; both paths."""
    path = make_disk(48 * MIB, (0, random.Random(9).randbytes(48 * MIB)), name="backing.img")
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    made = subprocess.run(
        ["losetup", "--find", "--show", str(path)], capture_output=True, text=True, check=True
    )
    device = made.stdout.strip()
    try:
        yield device, path
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
