"""Whatever goes wrong is one clear sentence in its place; nothing hangs or is left behind."""

from __future__ import annotations

import gc
import hashlib
import os
import random
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import snapcore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20


def own_threads() -> list[str]:
    names = (path / "comm" for path in Path("/proc/self/task").iterdir())
    return [name for name in (path.read_text().strip() for path in names) if name[:5] == "snap-"]


def threads_run() -> bool:
    """A thread gives itself its name, as soon as it gets to run."""
    end = time.monotonic() + 20
    while not own_threads() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(own_threads())


def no_threads_are_left() -> bool:
    """A joined thread may stand in /proc for a moment more."""
    end = time.monotonic() + 20
    while own_threads() and time.monotonic() < end:
        time.sleep(0.01)
    return not own_threads()


def open_files() -> set[str]:
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def noise(path: Path, mib: int) -> Path:
    piece = random.Random(1).randbytes(MIB)  # a frame compresses alone, so repeats do no harm
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(piece)
    return path


def stream_of(path: Path | str, threads: int = 2) -> snapcore.Stream:
    with snapcore.Disk(path) as disk:
        return disk.plan().raw_gzip(threads=threads)


# -- opening --------------------------------------------------------------------------------------


def test_what_is_no_disk_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.img"
    empty.touch()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, words in [
        (tmp_path / "missing.img", "does not exist"),
        (tmp_path, "neither a regular file nor a block device"),
        (Path("/dev/null"), "neither a regular file nor a block device"),
        (pipe, "neither a regular file nor a block device"),
        (empty, "is empty"),
    ]:
        with pytest.raises(snapcore.DiskError, match=words) as caught:
            snapcore.Disk(path)
        assert caught.value.path == str(path)
        assert caught.value.offset is None
        assert str(caught.value).count(".") >= 1


def test_names_of_every_kind(tmp_path: Path) -> None:
    for name in [
        "with space",
        "naïve ✓",
        "quote'\"",
        "-dash",
        "x" * 255,
        b"\xff\xfe raw".decode(errors="surrogateescape"),
    ]:
        path = tmp_path / name
        path.write_bytes(b"content")
        with snapcore.Disk(path) as disk:
            assert disk.size == 7
            assert len(list(disk.plan().raw_gzip())) == 1
        path.unlink()
        with pytest.raises(snapcore.DiskError, match="does not exist"):
            snapcore.Disk(path)


NOBODY = 65534


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Root may read everything, so a test that runs as root is nobody for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


@pytest.fixture
def locked_disk() -> Iterator[Path]:
    """A disk without any permission, in a folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = noise(Path(folder) / "locked.img", 1)
        path.chmod(0)
        yield path


def test_a_disk_that_may_not_be_read(locked_disk: Path, as_nobody: None) -> None:
    assert locked_disk.exists()  # it is the disk that is locked, not the way to it
    with pytest.raises(snapcore.DiskError, match="may not be read"):
        snapcore.Disk(locked_disk)


def test_a_disk_is_opened_for_reading_only_and_not_inherited(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 1)
    path.chmod(0o400)
    with snapcore.Disk(path):
        links = {p.name: p.readlink() for p in Path("/proc/self/fd").iterdir() if p.is_symlink()}
        number = next(int(name) for name, target in links.items() if target == path)
        flags = Path(f"/proc/self/fdinfo/{number}").read_text().split()
        mode = int(flags[flags.index("flags:") + 1], 8)
        assert mode & os.O_ACCMODE == os.O_RDONLY
        assert not os.get_inheritable(number)
        assert stat.S_ISREG(os.fstat(number).st_mode)
    assert str(path) not in open_files()


def test_a_closed_disk_makes_no_plan(tmp_path: Path) -> None:
    disk = snapcore.Disk(noise(tmp_path / "disk.img", 1))
    disk.close()
    disk.close()
    with pytest.raises(snapcore.UsageError, match="closed"):
        disk.plan()


def test_a_stream_outlives_its_disk(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 40)
    stream = stream_of(path)
    path.unlink()
    digest = hashlib.md5()
    for part in stream:
        digest.update(part)
    assert stream.finish().md5 == digest.hexdigest()


# -- reading --------------------------------------------------------------------------------------


def test_a_disk_that_shrinks_in_mid_read_is_told_with_the_offset(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 300)
    stream = stream_of(path)
    next(stream)
    os.truncate(path, 250 * MIB + 123)
    with pytest.raises(snapcore.DiskError, match="shrank") as caught:
        list(stream)
    assert caught.value.offset == 250 * MIB + 123
    with pytest.raises(snapcore.DiskError):
        stream.finish()
    assert no_threads_are_left()


def test_a_disk_that_loses_a_hole_at_its_end_is_told(make_disk: Callable[..., Path]) -> None:
    path = make_disk(500 * MIB, (0, random.Random(3).randbytes(MIB) * 200))
    stream = stream_of(path)
    next(stream)
    os.truncate(path, 400 * MIB)
    with pytest.raises(snapcore.DiskError, match="shrank"):
        list(stream)


def test_a_device_that_fails_in_mid_read_is_told_with_the_offset(
    loop_device: tuple[str, Path],
) -> None:
    device, backing = loop_device
    os.truncate(backing, 37 * MIB)  # a loop device gives an I/O error beyond its file's end
    stream = stream_of(device)
    parts: list[snapcore.Part] = []
    with pytest.raises(
        snapcore.DiskError, match=f"failed at byte {37 * MIB}: input/output"
    ) as caught:
        parts.extend(stream)
    assert caught.value.offset == 37 * MIB
    assert caught.value.path == device


# -- ending ---------------------------------------------------------------------------------------


def test_cancel_from_another_thread_wakes_the_waiting_one(tmp_path: Path) -> None:
    stream = stream_of(noise(tmp_path / "disk.img", 500))
    next(stream)
    timer = threading.Timer(0.05, stream.cancel)
    timer.start()
    with pytest.raises(snapcore.Cancelled):
        list(stream)
    timer.join()
    with pytest.raises(snapcore.Cancelled):
        next(stream)
    with pytest.raises(snapcore.Cancelled):
        stream.finish()
    assert no_threads_are_left()


def test_dropping_a_stream_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 200)
    for taken in (0, 1, 3):
        stream = stream_of(path)
        for _ in range(taken):
            next(stream)
        assert threads_run()
        del stream
        gc.collect()
        assert no_threads_are_left()
        assert str(path) not in open_files()


def test_leaving_the_with_block_ends_the_stream(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 100)
    with stream_of(path) as stream:
        next(stream)
    assert no_threads_are_left()
    with pytest.raises(snapcore.Cancelled):
        next(stream)


def test_closing_a_finished_stream_changes_nothing(tmp_path: Path) -> None:
    with stream_of(noise(tmp_path / "disk.img", 2)) as stream:
        list(stream)
    assert stream.finish().parts == 1
    assert list(stream) == []


def test_finishing_early_is_refused(tmp_path: Path) -> None:
    stream = stream_of(noise(tmp_path / "disk.img", 100))
    next(stream)
    with pytest.raises(snapcore.UsageError, match="nobody took"):
        stream.finish()


def test_the_interpreter_goes_on_while_a_stream_is_waited_for(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 200)
    stream = stream_of(path, threads=1)
    ticks = 0
    done = threading.Event()

    def drain() -> None:
        list(stream)
        done.set()

    thread = threading.Thread(target=drain)
    begin = time.monotonic()
    thread.start()
    while not done.is_set():
        time.sleep(0.001)
        ticks += 1
    thread.join()
    # With the interpreter held, there would be a tick a part or so.
    assert ticks > 20, f"{ticks} ticks in {time.monotonic() - begin:.2f} s"


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with snapcore.Disk(noise(tmp_path / "disk.img", 1)) as disk:
        plan = disk.plan()
        with pytest.raises(snapcore.UsageError, match="at least one thread"):
            plan.raw_gzip(threads=0)
        with pytest.raises(snapcore.UsageError, match="no codec called"):
            plan.raw_gzip(codec="brotli")


# -- reading back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", snapcore.CODECS)
def test_a_damaged_part_is_told(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"the quick brown fox " * 200_000)
    (part,) = stream_of(path)
    length = path.stat().st_size

    def read(data: bytes, length: int = length, *, first: bool = True, last: bool = True) -> bytes:
        reader = snapcore.inflate_part(data, length, first=first, last=last, codec=codec)
        return b"".join(reader)

    whole = bytes(part.data)
    assert read(whole) == path.read_bytes()
    attempts: list[Callable[[], bytes]] = [
        lambda: read(whole[:-1]),
        lambda: read(whole[1:]),
        lambda: read(whole, length - 1),
        lambda: read(whole, length + 1),
        lambda: read(whole, first=False),
        lambda: read(whole, last=False),
        lambda: read(whole[: len(whole) // 2]),
        lambda: read(b""),
        lambda: read(b"", 0),
        lambda: snapcore.inflate(b"", 10, codec=codec),
        lambda: snapcore.inflate(whole[10:400], MIB, codec=codec),
        lambda: snapcore.inflate(b"\x00" * 1000, 1 << 40, codec=codec),
    ]
    for wrong in attempts:
        with pytest.raises(snapcore.CorruptFrame):
            wrong()


def test_a_part_reader_that_failed_keeps_failing(tmp_path: Path) -> None:
    path = noise(tmp_path / "disk.img", 3)
    (part,) = stream_of(path)
    reader = snapcore.inflate_part(part.data[: 2 * MIB], 3 * MIB, first=True, last=False)
    assert len(next(reader)) == MIB
    for _ in range(2):
        with pytest.raises(snapcore.CorruptFrame):
            next(reader)


def test_exceptions_are_one_tree() -> None:
    for kind in (
        snapcore.DiskError,
        snapcore.Cancelled,
        snapcore.CorruptFrame,
        snapcore.UsageError,
        snapcore.InternalError,
    ):
        assert issubclass(kind, snapcore.SnapcoreError)
