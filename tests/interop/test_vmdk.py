"""VMDK files: the same disk to every reader, and every structure where the specification has it."""

from __future__ import annotations

import struct
import subprocess
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import snapcore
from dissect.hypervisor.disk.vmdk import VMDK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.images import (
    DISKS,
    GIB,
    KIB,
    MIB,
    compare,
    compare_mounted,
    make_disk,
    reads_the_same,
    run,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
GRAIN = 64 * KIB
AT_END = 0xFFFFFFFFFFFFFFFF
HEADER = struct.Struct("<IIIQQQQIQQQB4sH")


def make(disk: Path, image: Path, *, adapter: str = "lsilogic") -> snapcore.Summary:
    with snapcore.Disk(disk) as source:
        plan = source.plan(skip_unused=False)
        with plan.vmdk(name=image.name, cid=0x12345678, adapter=adapter) as stream:
            return write(stream, image)


@dataclass
class Read:
    """A file taken apart by the specification, with nothing of ours."""

    capacity: int
    descriptor: str
    grains: dict[int, bytes]
    """By their place in sectors, in the order of the file."""
    tables: list[list[int]]


def read(image: Path) -> Read:
    """Walk the file from its first to its last sector; nothing may be left over."""
    file = image.read_bytes()
    header = HEADER.unpack_from(file)
    (magic, version, flags, capacity, grain, at, length, entries, second, directory) = header[:10]
    assert (magic, version, flags) == (0x564D444B, 3, 0x30001)
    assert (grain, at, length, entries, second) == (128, 1, 20, 512, 0)
    assert directory == AT_END
    overhead, unclean, newlines, compressed = header[10:]
    assert (overhead, unclean, newlines, compressed) == (128, 0, b"\n \r\n", 1)
    assert capacity % 128 == 0
    descriptor = file[SECTOR : 21 * SECTOR].rstrip(b"\0").decode()
    sector, grains, tables, found = overhead, {}, [], {}
    kinds = []
    while True:
        value, size, kind = struct.unpack_from("<QII", file, sector * SECTOR)
        if size:
            content = file[sector * SECTOR + 12 :][:size]
            unpacked = zlib.decompressobj()
            grains[value] = unpacked.decompress(content)
            assert unpacked.eof
            assert not unpacked.unused_data
            assert len(grains[value]) == GRAIN
            found[value] = sector
            length = -(-(12 + size) // SECTOR)
            assert length <= 129
            assert not any(file[sector * SECTOR + 12 + size : (sector + length) * SECTOR])
            sector += length
            continue
        kinds.append(kind)
        content = file[(sector + 1) * SECTOR : (sector + 1 + value) * SECTOR]
        if kind == 1:
            assert value == 4
            tables.append((sector + 1, list(struct.unpack("<512I", content))))
        elif kind == 2:
            places, directory_at = struct.unpack(f"<{len(content) // 4}I", content), sector + 1
        elif kind == 3:
            assert value == 1
            assert HEADER.unpack_from(content)[:9] == header[:9]
            assert HEADER.unpack_from(content)[9] == directory_at
            assert HEADER.unpack_from(content)[10:] == header[10:]
        else:
            assert kind == 0
            break
        sector += 1 + value
    assert (sector + 1) * SECTOR == len(file)
    count = -(-capacity // (128 * 512))
    assert kinds == [1] * count + [2, 3, 0]
    assert list(places[:count]) == [place for place, _ in tables]
    assert not any(places[count:])
    assert list(grains) == sorted(grains)
    expected = [
        [found.get((number * 512 + entry) * 128, 0) for entry in range(512)]
        for number in range(count)
    ]
    assert [entries for _, entries in tables] == expected
    assert all(any(content) for content in grains.values())
    return Read(capacity * SECTOR, descriptor, grains, [entries for _, entries in tables])


def check(disk: Path, image: Path) -> None:
    """Everybody who reads it agrees with the disk."""
    compare(image, "vmdk", disk)
    run("qemu-img", "check", "-f", "vmdk", image)
    assert "Everything is Ok" in run("7z", "t", "-tvmdk", image)
    run("vmdkinfo", image)
    compare_mounted("vmdkmount", image, disk)


@pytest.mark.parametrize("name", DISKS)
def test_every_reader_agrees(tmp_path: Path, name: str) -> None:
    size, data = DISKS[name]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.vmdk"
    summary = make(disk, image)
    assert summary.md5 is not None
    assert summary.md5 == run("md5sum", image).split()[0]
    assert summary.sha256 == run("sha256sum", image).split()[0]
    check(disk, image)
    found = read(image)
    assert found.capacity == -(-size // GRAIN) * GRAIN
    with disk.open("rb") as file:
        for place, content in found.grains.items():
            file.seek(place * SECTOR)
            assert file.read(GRAIN).ljust(GRAIN, b"\0") == content


@pytest.mark.parametrize("name", ["odd size", "holes", "large"])
def test_dissect_reads_the_same(tmp_path: Path, name: str) -> None:
    size, data = DISKS[name]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.vmdk"
    make(disk, image)
    with image.open("rb") as file:
        reads_the_same(VMDK(file), disk, data)


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
    image = tmp_path / "web-1.vmdk"
    make(disk, image)
    read(image)
    # qemu-img compares whole sectors.
    with disk.open("ab") as file:
        file.truncate(-(-size // SECTOR) * SECTOR)
    compare(image, "vmdk", disk)
    assert "Everything is Ok" in run("7z", "t", "-tvmdk", image)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("header: magic", 0),
        ("header: capacity", 12),
        ("header: grain size", 20),
        ("header: entries in a table", 44),
        ("footer: directory", -2 * SECTOR + 56),
        ("end of stream", -SECTOR + 12),
        ("grain: length", 128 * SECTOR + 8),
        ("grain: data", 128 * SECTOR + 40),
        ("grain: place", 128 * SECTOR),
    ],
)
def test_7zip_sees_each_fault(tmp_path: Path, place: str, value: int) -> None:
    """What the strictest reader is worth: a file that passes it is right in these fields."""
    disk = make_disk(tmp_path / "disk.raw", 5 * MIB, [(0, 5 * MIB)])
    image = tmp_path / "web-1.vmdk"
    make(disk, image)
    content = bytearray(image.read_bytes())
    content[value] ^= 0x55
    image.write_bytes(content)
    done = subprocess.run(["7z", "t", "-tvmdk", image], capture_output=True, check=False)
    assert done.returncode != 0, place


def test_the_descriptor(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", 100 * MIB, [(0, MIB)])
    image = tmp_path / 'na"me\n.vmdk'
    make(disk, image, adapter="ide")
    lines = read(image).descriptor.splitlines()
    assert lines[0] == "# Disk DescriptorFile"
    assert "CID=12345678" in lines
    assert 'createType="streamOptimized"' in lines
    assert 'RW 204800 SPARSE "na_me_.vmdk"' in lines
    assert 'ddb.adapterType = "ide"' in lines
    assert 'ddb.geometry.heads = "16"' in lines
    assert sum(line.startswith("ddb.toolsVersion") for line in lines) == 1


def test_a_sparse_terabyte(tmp_path: Path) -> None:
    """Its tables are written as they end: 80 MiB of them, mostly empty, and one in memory."""
    disk = make_disk(tmp_path / "disk.raw", 1024 * GIB, [(at * 64 * GIB, MIB) for at in range(16)])
    image = tmp_path / "web-1.vmdk"
    make(disk, image)
    assert len(read(image).tables) == 32768
    compare(image, "vmdk", disk)
