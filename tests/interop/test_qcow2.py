"""qcow2 files: the same disk to QEMU and dissect, and clean to qemu-img check."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest
import snapcore
from dissect.hypervisor.disk.qcow2 import QCow2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.images import DISKS, GIB, MIB, compare, make_disk, reads_the_same, run, write

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = 65536
SECTOR = 512


def make(disk: Path, image: Path, codec: str | None = None) -> snapcore.Summary:
    with snapcore.Disk(disk) as source:
        plan = source.plan(skip_unused=False)
        with plan.qcow2(codec=codec) as stream:
            return write(stream, image)


def whole_sectors(disk: Path) -> int:
    size = -(-disk.stat().st_size // SECTOR) * SECTOR
    with disk.open("ab") as file:
        file.truncate(size)
    return size


def check(disk: Path, image: Path) -> None:
    """Every count is right, and every byte."""
    told = json.loads(run("qemu-img", "check", "-f", "qcow2", "--output=json", image))
    for fault in ("check-errors", "corruptions", "leaks"):
        assert told.get(fault, 0) == 0, told
    compare(image, "qcow2", disk)


def check_header(image: Path, size: int) -> None:
    with image.open("rb") as file:
        header = file.read(104)
        fields = struct.unpack(">4sIQIIQIIQQIIQ", header[:72])
        magic, version, backing, backing_size, bits, virtual, crypt, l1_size, l1 = fields[:9]
        assert (magic, version, backing, backing_size, bits) == (b"QFI\xfb", 3, 0, 0, 16)
        assert (virtual, crypt, l1_size) == (size, 0, -(-size // (512 * MIB)))
        assert l1 == CLUSTER
        counts, count_clusters, snapshots, snapshots_at = fields[9:]
        assert (counts % CLUSTER, snapshots, snapshots_at) == (0, 0, 0)
        assert counts >= l1 + 8 * l1_size
        assert count_clusters > 0
        assert struct.unpack(">QQQII", header[72:]) == (0, 0, 0, 4, 104)
    assert image.stat().st_size % CLUSTER == 0


@pytest.mark.parametrize("codec", snapcore.CODECS)
@pytest.mark.parametrize("name", DISKS)
def test_every_reader_agrees(tmp_path: Path, name: str, codec: str) -> None:
    size, data = DISKS[name]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.qcow2"
    summary = make(disk, image, codec)
    assert (summary.md5, summary.sha256) == (None, None)
    check(disk, image)
    check_header(image, size)
    with image.open("rb") as file:
        reads_the_same(QCow2(file).open(), disk, data)


def test_text_that_repeats_far_behind(tmp_path: Path) -> None:
    """QEMU inflates with a window of 4 KiB: nothing may look back further."""
    disk = tmp_path / "disk.raw"
    words = b"".join(
        b"line %05d of a text that repeats itself\n" % (n * 7919 % 997) for n in range(99999)
    )
    disk.write_bytes(words[: len(words) // SECTOR * SECTOR])
    for codec in snapcore.CODECS:
        image = tmp_path / f"{codec}.qcow2"
        make(disk, image, codec)
        check(disk, image)
        assert image.stat().st_size < disk.stat().st_size // 2


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.integers(1, 140 * MIB),
    runs=st.lists(st.tuples(st.integers(0, 140 * MIB), st.integers(1, 3 * MIB)), max_size=6),
    seed=st.integers(0, 1000),
)
def test_any_disk(tmp_path: Path, size: int, runs: list[tuple[int, int]], seed: int) -> None:
    data = [(at % size, min(length, size - at % size)) for at, length in runs]
    disk = make_disk(tmp_path / "disk.raw", size, data, seed=seed)
    image = tmp_path / "web-1.qcow2"
    make(disk, image)
    check_header(image, whole_sectors(disk))
    check(disk, image)


def test_more_than_one_block_of_counts(tmp_path: Path) -> None:
    """3 GiB that do not shrink: the counts of the first 2 GiB stand in the middle of the file."""
    noise = make_disk(tmp_path / "noise", 64 * MIB, [])
    with open("/dev/urandom", "rb") as random, noise.open("wb") as file:  # noqa: PTH123
        file.write(random.read(64 * MIB))
    disk = tmp_path / "disk.raw"
    content = noise.read_bytes()
    with disk.open("wb") as file:
        for _ in range(48):
            file.write(content)
    image = tmp_path / "web-1.qcow2"
    make(disk, image)
    check(disk, image)


def test_a_sparse_terabyte(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", 1024 * GIB, [(at * 64 * GIB, MIB) for at in range(16)])
    image = tmp_path / "web-1.qcow2"
    make(disk, image)
    check(disk, image)
    assert image.stat().st_size < 32 * MIB
