"""VHDX files: the same disk to QEMU and dissect, every structure where the specification has it."""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING

import pytest
import snapcore
from dissect.hypervisor.disk.vhdx import VHDX
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.images import (
    DISKS,
    GIB,
    KIB,
    MIB,
    compare,
    make_disk,
    reads_the_same,
    run,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
UNIQUE = bytes(range(16))


def make(disk: Path, image: Path) -> snapcore.Summary:
    with snapcore.Disk(disk) as source:
        plan = source.plan(skip_unused=False)
        with plan.vhdx(unique_id=UNIQUE) as stream:
            return write(stream, image)


def crc32c(content: bytes) -> int:
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def summed(content: bytes, name: bytes) -> bytes:
    assert content[:4] == name
    [crc] = struct.unpack_from("<I", content, 4)
    assert crc == crc32c(content[:4] + bytes(4) + content[8:])
    return content


def read(image: Path, size: int) -> dict[int, int]:
    """Take the file apart; where each block stands."""
    with image.open("rb") as file:
        assert file.read(8) == b"vhdxfile"

        def piece(at: int, length: int) -> bytes:
            file.seek(at)
            return file.read(length)

        numbers = []
        for at in (64 * KIB, 128 * KIB):
            header = summed(piece(at, 4 * KIB), b"head")
            fields = struct.unpack_from("<Q16s16s16sHHIQ", header, 8)
            numbers.append(fields[0])
            assert fields[1:] == (UNIQUE, UNIQUE, bytes(16), 0, 1, MIB, MIB)
        assert numbers == [1, 2]
        tables = [summed(piece(at, 64 * KIB), b"regi") for at in (192 * KIB, 256 * KIB)]
        assert tables[0] == tables[1]
        assert struct.unpack_from("<I", tables[0], 8) == (2,)
        regions = {}
        for at in (16, 48):
            guid, place, length, required = struct.unpack_from("<16sQII", tables[0], at)
            assert (place % MIB, length % MIB, required) == (0, 0, 1)
            regions[str(uuid.UUID(bytes_le=guid))] = (place, length)
        table = regions.pop("2dc27766-f623-4200-9d64-115e9bfd4a08")
        metadata = regions.pop("8b7ca206-4790-4b9a-b8fe-575f050f886e")
        assert not regions
        items = _metadata(piece(*metadata))
        block, flags = struct.unpack("<II", items["caa16737-fa36-4d43-b3b6-33f0aa44e76b"])
        assert flags == 0
        assert block % MIB == 0
        assert items["2fa54224-cd1b-4876-b211-5dbed83bf4b8"] == struct.pack("<Q", size)
        assert items["beca12ab-b2e6-4523-93ef-c309e000c746"] == UNIQUE
        assert items["8141bf1d-a96f-4709-ba47-f233a8faab5f"] == struct.pack("<I", 512)
        assert items["cda348c7-445d-4471-9cc9-e9885251c556"] == struct.pack("<I", 4096)
        count, in_chunk = -(-size // block), 4 * GIB // block
        entries = count + (count - 1) // in_chunk
        assert table[1] >= entries * 8
        content = struct.unpack(f"<{entries}Q", piece(table[0], entries * 8))
        assert not any(piece(table[0] + entries * 8, table[1] - entries * 8))
        places, end = {}, table[0] + table[1]
        for number in range(count):
            entry = content[number + number // in_chunk]
            if entry == 2:
                continue
            assert entry == end | 6
            places[number * block] = end
            end += block
        assert all(content[at] == 0 for at in range(in_chunk, entries, in_chunk + 1))
        assert file.seek(0, 2) == end
    return places


def _metadata(region: bytes) -> dict[str, bytes]:
    assert region[:8] == b"metadata"
    [count] = struct.unpack_from("<H", region, 10)
    items = {}
    for number in range(count):
        fields = struct.unpack_from("<16sIIII", region, 32 + 32 * number)
        guid, at, length, flags, reserved = fields
        assert at >= 64 * KIB
        assert (flags, reserved) == (4 if number == 0 else 6, 0)
        items[str(uuid.UUID(bytes_le=guid))] = region[at : at + length]
    return items


def check(disk: Path, image: Path) -> None:
    run("qemu-img", "check", "-f", "vhdx", image)
    compare(image, "vhdx", disk)


@pytest.mark.parametrize("name", DISKS)
def test_every_reader_agrees(tmp_path: Path, name: str) -> None:
    size, data = DISKS[name]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.vhdx"
    summary = make(disk, image)
    assert (summary.md5, summary.sha256) == (None, None)
    check(disk, image)
    places = read(image, size)
    assert set(places) == {
        number * 2 * MIB
        for offset, length in data
        for number in range(offset // (2 * MIB), (offset + length - 1) // (2 * MIB) + 1)
    }
    with image.open("rb") as file:
        reads_the_same(VHDX(file), disk, data)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.integers(1, 140 * MIB),
    runs=st.lists(st.tuples(st.integers(0, 140 * MIB), st.integers(1, 3 * MIB)), max_size=6),
    seed=st.integers(0, 1000),
)
def test_any_disk(tmp_path: Path, size: int, runs: list[tuple[int, int]], seed: int) -> None:
    data = [(at % size, min(length, size - at % size)) for at, length in runs]
    disk = make_disk(tmp_path / "disk.raw", size, data, seed=seed)
    image = tmp_path / "web-1.vhdx"
    make(disk, image)
    rounded = -(-size // SECTOR) * SECTOR
    with disk.open("ab") as file:
        file.truncate(rounded)
    read(image, rounded)
    check(disk, image)


@pytest.mark.parametrize("size", [3 * 1024 * GIB, 16 * 1024 * GIB - 4096])
def test_large_disks_have_large_blocks(tmp_path: Path, size: int) -> None:
    """Comparing all of it would take hours: QEMU reads around the data."""
    data = [(at * size // 7 // 4096 * 4096, MIB) for at in range(7)]
    disk = make_disk(tmp_path / "disk.raw", size, data)
    image = tmp_path / "web-1.vhdx"
    make(disk, image)
    places = read(image, size)
    assert len(places) == 7
    run("qemu-img", "check", "-f", "vhdx", image)
    with disk.open("rb") as original:
        for offset, length in data:
            start = max(0, offset - MIB)
            original.seek(start)
            expected = original.read(length + 2 * MIB)
            assert qemu_reads(image, start, len(expected), tmp_path) == expected


def qemu_reads(image: Path, start: int, length: int, folder: Path) -> bytes:
    """A stretch of the disk as QEMU finds it in the file."""
    out = folder / "stretch"
    window = f"driver=raw,offset={start},size={length},file.driver=vhdx"
    run(
        *("qemu-img", "convert", "-O", "raw", "--image-opts"),
        f"{window},file.file.driver=file,file.file.filename={image}",
        out,
    )
    return out.read_bytes()


@pytest.mark.parametrize(
    ("structure", "at"),
    [
        ("file identifier", 0),
        ("headers: name", 64 * KIB),
        ("headers: version", 64 * KIB + 66),
        ("region table: name", 192 * KIB),
        ("region table: a region", 192 * KIB + 16),
        ("metadata: name", 2 * MIB),
        ("metadata: the disk's size", 2 * MIB + 64 * KIB + 10),
        ("table: a block beyond the end", 3 * MIB + 4),
    ],
)
def test_a_fault_is_seen(tmp_path: Path, structure: str, at: int) -> None:
    """By QEMU, in both copies of what has two."""
    disk = make_disk(tmp_path / "disk.raw", 5 * MIB, [(0, 5 * MIB)])
    image = tmp_path / "web-1.vhdx"
    make(disk, image)
    content = bytearray(image.read_bytes())
    content[at] ^= 0x55
    if at < MIB:
        content[at + 64 * KIB] ^= 0x55
    image.write_bytes(content)
    with pytest.raises(AssertionError):
        check(disk, image)


def test_what_is_too_large_is_refused() -> None:
    zeros = [(at * 16 * MIB, 16 * MIB, None) for at in range(16)]
    with pytest.raises(snapcore.UsageError):
        snapcore.Stored(64 * 1024 * GIB + 512, zeros, bytes)
    whole = snapcore.Stored(64 * 1024 * GIB + MIB, [(0, 64 * 1024 * GIB + MIB, None)], bytes)
    with pytest.raises(snapcore.UsageError, match="64 TiB"):
        whole.plan(skip_unused=False).vhdx(unique_id=UNIQUE)
