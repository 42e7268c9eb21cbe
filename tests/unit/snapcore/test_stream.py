"""A raw stream is one standard gzip file of exactly the disk, whoever reads it."""

from __future__ import annotations

import gzip
import hashlib
import random
import shutil
import subprocess
import threading
import zlib
from typing import TYPE_CHECKING

import pytest
import snapcore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20
BOUNDARY = 16 * MIB


def stream_of(path: Path, *, threads: int = 2, codec: str | None = None) -> snapcore.Stream:
    with snapcore.Disk(path) as disk:
        return disk.plan().raw_gzip(threads=threads, codec=codec)


def take(path: Path, **options: object) -> tuple[list[snapcore.Part], snapcore.Summary]:
    stream = stream_of(path, **options)  # type: ignore[arg-type]
    return list(stream), stream.finish()


def joined(parts: list[snapcore.Part]) -> bytes:
    return b"".join(part.data for part in parts)


@pytest.mark.parametrize("codec", snapcore.CODECS)
def test_pythons_readers_see_one_member_that_is_the_disk(mixed_disk: Path, codec: str) -> None:
    parts, summary = take(mixed_disk, codec=codec)
    file, disk = joined(parts), mixed_disk.read_bytes()
    assert gzip.decompress(file) == disk
    reader = zlib.decompressobj(31)
    assert reader.decompress(file) == disk
    assert reader.eof
    assert reader.unused_data == b""
    assert summary.crc32 == zlib.crc32(disk)


@pytest.mark.parametrize("tool", ["gzip", "pigz", "igzip"])
@pytest.mark.parametrize("codec", snapcore.CODECS)
def test_other_tools_read_it(mixed_disk: Path, tmp_path: Path, tool: str, codec: str) -> None:
    assert shutil.which(tool), f"{tool} is not installed: run `setup/packages test`"
    path = tmp_path / "disk.raw.gz"
    path.write_bytes(joined(take(mixed_disk, codec=codec)[0]))
    subprocess.run([tool, "-t", str(path)], check=True)
    plain = subprocess.run([tool, "-dc", str(path)], capture_output=True, check=True)
    assert plain.stdout == mixed_disk.read_bytes()


@pytest.mark.parametrize("codec", snapcore.CODECS)
def test_hashes_are_those_of_the_bytes(mixed_disk: Path, codec: str) -> None:
    parts, summary = take(mixed_disk, codec=codec)
    file = joined(parts)
    assert summary.md5 == hashlib.md5(file).hexdigest()
    assert summary.sha256 == hashlib.sha256(file).hexdigest()
    assert (summary.size, summary.parts) == (len(file), len(parts))
    assert summary.source_size == mixed_disk.stat().st_size
    for part in parts:
        assert part.md5 == hashlib.md5(part).hexdigest()
        assert part.sha256 == hashlib.sha256(part.data).hexdigest()


def test_parts_follow_the_rule(mixed_disk: Path) -> None:
    parts, _ = take(mixed_disk)
    offset = 0
    for position, part in enumerate(parts):
        assert (part.position, part.source_offset) == (position, offset)
        offset += part.source_length
        if position + 1 < len(parts):
            assert part.size >= MIB
            assert offset % BOUNDARY == 0
        assert part.size < 17 * MIB + 8192
    assert offset == mixed_disk.stat().st_size
    assert len(parts) > 2


@pytest.mark.parametrize(
    "size", [1, MIB - 1, MIB, MIB + 1, BOUNDARY - 1, BOUNDARY, BOUNDARY + 1, 2 * BOUNDARY]
)
@pytest.mark.parametrize("sparse", [True, False])
def test_sizes_at_every_edge(make_disk: Callable[..., Path], size: int, sparse: bool) -> None:
    content = () if sparse else ((0, random.Random(size).randbytes(size)),)
    path = make_disk(size, *content)
    parts, summary = take(path)
    assert gzip.decompress(joined(parts)) == path.read_bytes()
    assert summary.source_size == size
    assert all(part.zero for part in parts) == sparse


@pytest.mark.parametrize("codec", snapcore.CODECS)
def test_the_number_of_threads_changes_no_byte(mixed_disk: Path, codec: str) -> None:
    first = [part.sha256 for part in take(mixed_disk, threads=1, codec=codec)[0]]
    for threads in (2, 5, 16):
        assert [p.sha256 for p in take(mixed_disk, threads=threads, codec=codec)[0]] == first


def test_a_small_change_changes_its_part_and_the_trailers(mixed_disk: Path) -> None:
    before = [part.sha256 for part in take(mixed_disk)[0]]
    with mixed_disk.open("r+b") as file:
        file.seek(18 * MIB)
        file.write(b"changed")
    after = [part.sha256 for part in take(mixed_disk)[0]]
    pairs = enumerate(zip(before, after, strict=True))
    assert [at for at, (a, b) in pairs if a != b] == [1, len(before) - 1]


def test_holes_are_not_read(make_disk: Callable[..., Path]) -> None:
    path = make_disk(300 * MIB, (128 * MIB, b"x" * MIB))
    with snapcore.Disk(path) as disk:
        plan = disk.plan()
        assert plan.bytes_to_read == MIB
        assert [(e.start // MIB, e.length // MIB, e.kind) for e in plan.extents] == [
            (0, 128, "zero"),
            (128, 1, "data"),
            (129, 171, "zero"),
        ]
        assert [p.file_system for p in plan.partitions] == [""]
        stream = plan.raw_gzip()
    assert gzip.decompress(joined(list(stream))) == path.read_bytes()
    assert stream.finish().bytes_read == MIB


def test_long_zeros_are_one_part_over_and_over(make_disk: Callable[..., Path]) -> None:
    parts, _ = take(make_disk(6 << 30, (0, b"begin")))
    middle = parts[1:-1]
    assert len({part.sha256 for part in middle}) == 1
    assert all(part.zero and part.source_length == 1008 * MIB for part in middle)
    assert len(middle) >= 4


@pytest.mark.parametrize("reader", snapcore.CODECS)
@pytest.mark.parametrize("writer", snapcore.CODECS)
def test_frames_and_parts_read_back(mixed_disk: Path, writer: str, reader: str) -> None:
    disk = mixed_disk.read_bytes()
    parts, _ = take(mixed_disk, codec=writer)
    for part in parts:
        end = part.source_offset + part.source_length
        expected = disk[part.source_offset : end]
        first, last = part.position == 0, part.position == len(parts) - 1
        pieces = snapcore.inflate_part(
            part, part.source_length, first=first, last=last, codec=reader
        )
        assert b"".join(pieces) == expected
        at = part.source_offset
        for offset, length, source_length in part.frames:
            frame = part.data[offset : offset + length]
            assert (
                snapcore.inflate(frame, source_length, codec=reader)
                == (disk[at : at + source_length])
            )
            at += source_length
        assert at == end


def test_a_part_is_a_read_only_buffer_that_outlives_its_stream(mixed_disk: Path) -> None:
    stream = stream_of(mixed_disk)
    part = next(stream)
    view = part.data
    digest = part.sha256
    stream.close()
    del part, stream
    assert view.readonly
    assert view.contiguous
    assert view.format == "B"
    assert hashlib.sha256(view).hexdigest() == digest
    with pytest.raises(TypeError):
        view[0] = 1


def test_several_threads_share_a_stream(mixed_disk: Path) -> None:
    stream = stream_of(mixed_disk)
    taken: list[int] = []

    def upload() -> None:
        taken.extend(part.position for part in stream)

    threads = [threading.Thread(target=upload) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(stream.finish().parts))


def test_progress_ends_at_the_whole(mixed_disk: Path) -> None:
    stream = stream_of(mixed_disk)
    assert stream.progress == (0, 0)
    seen = [stream.progress for _ in stream]
    assert seen == sorted(seen)
    summary = stream.finish()
    assert stream.progress == (summary.source_size, summary.size)


def test_a_block_device_is_read_whole(loop_device: tuple[str, Path]) -> None:
    device, backing = loop_device
    with snapcore.Disk(device) as disk:
        assert disk.size == backing.stat().st_size
        assert disk.sector_size == 512
        assert disk.plan().bytes_to_read == disk.size
        file = joined(list(disk.plan().raw_gzip()))
    assert gzip.decompress(file) == backing.read_bytes()
