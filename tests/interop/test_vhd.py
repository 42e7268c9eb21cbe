"""VHD files: the same disk to every reader, and every structure where the specification has it."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
import snapcore
from dissect.hypervisor.disk.vhd import VHD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.images import (
    DISKS,
    GIB,
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
BLOCK = 2 * MIB
FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB")
HEADER = struct.Struct(">8sQQIIII")
UNIQUE, CREATED = bytes(range(16)), 847_000_000


def make(disk: Path, image: Path, *, fixed: bool = False) -> snapcore.Summary:
    with snapcore.Disk(disk) as source:
        plan = source.plan(skip_unused=False)
        with plan.vhd(unique_id=UNIQUE, created=CREATED, fixed=fixed) as stream:
            return write(stream, image)


def checksum(content: bytes, at: int) -> int:
    return ~(sum(content) - sum(content[at : at + 4])) & 0xFFFFFFFF


def geometry(sectors: int) -> tuple[int, int, int]:
    """The specification's appendix, line by line."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
        tracks = sectors // per_track
    else:
        per_track = 17
        tracks = sectors // per_track
        heads = max(4, (tracks + 1023) // 1024)
        if tracks >= heads * 1024 or heads > 16:
            per_track, heads = 31, 16
            tracks = sectors // per_track
        if tracks >= heads * 1024:
            per_track, heads = 63, 16
            tracks = sectors // per_track
    return tracks // heads, heads, per_track


def check_footer(footer: bytes, size: int, *, kind: int) -> None:
    fields = FOOTER.unpack_from(footer)
    assert fields[:4] == (b"conectix", 2, 0x10000, 512 if kind == 3 else 0xFFFFFFFFFFFFFFFF)
    assert fields[4:8] == (CREATED, b"win ", 0x000A0000, b"Wi2k")
    assert fields[8:10] == (size, size)
    assert fields[10:13] == geometry(size // SECTOR)
    assert fields[13:] == (kind, checksum(footer, 64), UNIQUE, 0)
    assert not any(footer[FOOTER.size :])


def read(image: Path, size: int) -> dict[int, int]:
    """Take a dynamic file apart; where each block's data stands."""
    with image.open("rb") as file:
        front = file.read(1536)
        check_footer(front[:512], size, kind=3)
        header = front[512:]
        entries = -(-size // BLOCK)
        assert HEADER.unpack_from(header) == (
            *(b"cxsparse", 0xFFFFFFFFFFFFFFFF, 1536, 0x10000, entries, BLOCK),
            checksum(header, 36),
        )
        assert not any(header[HEADER.size :])
        table = struct.unpack(f">{entries}I", file.read(4 * entries))
        end = (1536 + 4 * entries + 4095) // 4096 * 4096
        places = {}
        for number, place in sorted(enumerate(table), key=lambda pair: pair[1]):
            if place == 0xFFFFFFFF:
                continue
            assert place * SECTOR == end + 3584
            file.seek(place * SECTOR)
            assert file.read(512) == b"\xff" * 512
            places[number] = file.tell()
            assert places[number] % 4096 == 0
            end = places[number] + BLOCK
        file.seek(end)
        assert file.read() == front[:512]
    return places


def check(disk: Path, image: Path) -> None:
    compare(image, "vpc", disk)
    assert "Everything is Ok" in run("7z", "t", "-tvhd", image)
    run("vhdiinfo", image)
    compare_mounted("vhdimount", image, disk)


def whole_sectors(disk: Path, to: int = SECTOR) -> int:
    """Round the disk itself up with zeros, for readers that know whole sectors only."""
    size = -(-disk.stat().st_size // to) * to
    with disk.open("ab") as file:
        file.truncate(size)
    return size


@pytest.mark.parametrize("name", DISKS)
def test_every_reader_agrees(tmp_path: Path, name: str) -> None:
    size, data = DISKS[name]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.vhd"
    summary = make(disk, image)
    assert (summary.md5, summary.sha256) == (None, None)
    check(disk, image)
    places = read(image, size)
    assert set(places) == {
        number
        for offset, length in data
        for number in range(offset // BLOCK, (offset + length - 1) // BLOCK + 1)
    }
    with image.open("rb") as file:
        reads_the_same(VHD(file), disk, data)


@pytest.mark.parametrize("name", ["empty", "a sector", "odd size", "holes", "the last sector"])
def test_fixed_for_azure(tmp_path: Path, name: str) -> None:
    size, data = DISKS[name]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.vhd"
    summary = make(disk, image, fixed=True)
    assert summary.md5 == run("md5sum", image).split()[0]
    rounded = whole_sectors(disk, MIB)
    check(disk, image)
    assert image.stat().st_size == rounded + SECTOR
    content = image.read_bytes()
    assert content[:rounded] == disk.read_bytes()
    check_footer(content[rounded:], rounded, kind=2)


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
    image = tmp_path / "web-1.vhd"
    make(disk, image)
    rounded = whole_sectors(disk)
    read(image, rounded)
    compare(image, "vpc", disk)
    assert "Everything is Ok" in run("7z", "t", "-tvhd", image)


@pytest.mark.parametrize(
    ("place", "at"),
    [
        ("footer: cookie", -512),
        ("footer: size", -512 + 48 + 3),
        ("footer: disk type", -512 + 63),
        ("footer: checksum", -512 + 64),
        ("header: cookie", 512),
        ("header: block size", 512 + 33),
        ("header: checksum", 512 + 36),
        ("table: a block beyond the end", 1536),
    ],
)
def test_7zip_sees_each_fault(tmp_path: Path, place: str, at: int) -> None:
    disk = make_disk(tmp_path / "disk.raw", 5 * MIB, [(0, 5 * MIB)])
    image = tmp_path / "web-1.vhd"
    make(disk, image)
    content = bytearray(image.read_bytes())
    content[at] ^= 0x55
    image.write_bytes(content)
    done = subprocess.run(["7z", "t", "-tvhd", image], capture_output=True, text=True, check=False)
    assert done.returncode != 0 or "Everything is Ok" not in done.stdout, place


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.raw", 2040 * GIB + 512, [])
    with (
        snapcore.Disk(disk) as source,
        pytest.raises(snapcore.UsageError, match="a larger disk needs VHDX"),
    ):
        source.plan(skip_unused=False).vhd(unique_id=UNIQUE, created=CREATED)


def test_a_sparse_disk_of_the_greatest_size(tmp_path: Path) -> None:
    size = 2040 * GIB
    disk = make_disk(tmp_path / "disk.raw", size, [(at * 250 * GIB, MIB) for at in range(8)])
    image = tmp_path / "web-1.vhd"
    make(disk, image)
    assert len(read(image, size)) == 8
    compare(image, "vpc", disk)
