"""What is measured on, kept in `.cache/bench` from one run to the next.

The dense file is one tar of the machine's own files (/usr first, then more trees until it is 2
GiB), so it is real data, and the same for all contenders of a run, but not the same on every
machine. No stretch of it is repeated unless the machine has too few files, which is said.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import IO

import snapcore

from bench.clock import BenchFailed
from tests.disks.cache import CACHE, made_once, recipe_key
from tests.disks.debian import debian_disk

MIB = 1024**2
GIB = 1024**3
FOLDER = CACHE / "bench"
DENSE_SIZE = 2 * GIB
SPARSE_DATA = GIB
SPARSE_RUN = 64 * MIB
SMALL, LARGE = 8 * GIB, 1024 * GIB
NTFS_SIZE = 2 * GIB
NTFS_FILES = GIB
NEEDED_FREE = 14 * GIB
"""For inputs not made yet and what a run stores at one time."""
_FILL = """
volume=$1 at=$2 most=$3
shift 3
ntfs-3g -o no_detach,big_writes "$volume" "$at" &
until mountpoint -q "$at"; do kill -0 $!; sleep 0.05; done
find "$@" -xdev -type f -size -64M -printf '%s %p\\0' | sort -z -k 2 |
    while read -r -d '' size name && (( (most -= size) > 0 )); do printf '%s\\0' "$name"; done |
    tar --create --null --verbatim-files-from --files-from=- --ignore-failed-read |
    tar --extract --directory "$at" --no-same-owner --no-same-permissions || true
umount "$at"
wait $!
"""
_TREES = ("/usr", "/opt", "/var/lib", "/root", "/home", "/srv")


def check_room() -> None:
    """Raise where the inputs and one run would not fit."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(FOLDER).free
    held = sum(file.stat().st_blocks * 512 for file in FOLDER.glob("*.raw"))
    if free + held < NEEDED_FREE:
        raise BenchFailed(
            f"The bench needs {NEEDED_FREE // GIB} GiB on {FOLDER}; {free // GIB} GiB are free."
        )


def debian() -> Path:
    """The bootable Debian disk of the tests."""
    return debian_disk()


def debian_data(*, smart: bool = False) -> Path:
    """Only what is read of the Debian disk (`smart`: of its used space), end to end: for limits."""
    disk = debian()
    key = recipe_key(disk.name, str(disk.stat().st_mtime_ns))
    name = "debian-used" if smart else "debian-data"
    return made_once(FOLDER, name, ".raw", key, lambda path: _copy_data(disk, path, smart=smart))


def debian_partition() -> Path:
    """Its one partition by itself, sparse: what partclone takes."""
    disk = debian()
    key = recipe_key(disk.name, str(disk.stat().st_mtime_ns))
    return made_once(FOLDER, "debian-part", ".raw", key, lambda path: _copy_partition(disk, path))


def dense() -> Path:
    """2 GiB of the machine's own files, without a hole."""
    key = recipe_key(str(DENSE_SIZE), *_TREES)
    return made_once(FOLDER, "dense", ".raw", key, _make_dense)


def ntfs() -> Path:
    """An NTFS volume of 2 GiB with half of it in files of this machine."""
    key = recipe_key(str(NTFS_SIZE), str(NTFS_FILES), *_TREES)
    return made_once(FOLDER, "ntfs", ".raw", key, _make_ntfs)


def ntfs_image() -> Path:
    """What the real ntfsclone makes of it: for limits."""
    volume = ntfs()
    key = recipe_key(volume.name, str(volume.stat().st_mtime_ns))
    return made_once(FOLDER, "ntfs-image", ".raw", key, lambda path: _make_image(volume, path))


def sparse(size: int) -> Path:
    """A disk of `size` bytes with the first GiB of the dense file in 16 runs, else holes."""
    key = recipe_key(str(size), str(SPARSE_DATA), str(SPARSE_RUN))
    name = f"sparse-{size // GIB}"
    return made_once(FOLDER, name, ".raw", key, lambda path: _make_sparse(path, size))


def sparse_data() -> Path:
    """What the sparse disks hold, end to end: for the limits."""
    return made_once(FOLDER, "sparse-data", ".raw", recipe_key(str(SPARSE_DATA)), _make_sparse_data)


def _make_sparse_data(path: Path) -> None:
    with dense().open("rb") as reading, path.open("wb") as writing:
        _copy(reading, writing, SPARSE_DATA)


def _copy_data(disk: Path, path: Path, *, smart: bool) -> None:
    with snapcore.Disk(disk) as source, disk.open("rb") as reading, path.open("wb") as writing:
        for extent in source.plan(skip_unused=smart).extents:
            if extent.kind == "data":
                reading.seek(extent.start)
                _copy(reading, writing, extent.length)


def _copy_partition(disk: Path, path: Path) -> None:
    with snapcore.Disk(disk) as source, disk.open("rb") as reading, path.open("wb") as writing:
        [partition] = source.plan().partitions
        writing.truncate(partition.length)
        for extent in source.plan(skip_unused=False).extents:
            end = min(extent.start + extent.length, partition.start + partition.length)
            start = max(extent.start, partition.start)
            if extent.kind == "data" and start < end:
                reading.seek(start)
                writing.seek(start - partition.start)
                _copy(reading, writing, end - start)


def _make_dense(path: Path) -> None:
    trees = [tree for tree in _TREES if Path(tree).is_dir()]
    command = ["tar", "--create", "--sort=name", "--ignore-failed-read", "--warning=none", *trees]
    with path.open("wb") as writing:
        while writing.tell() < DENSE_SIZE:
            before = writing.tell()
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as tar:
                if tar.stdout is not None:  # a pipe, as asked for
                    _copy(tar.stdout, writing, DENSE_SIZE - before)
                tar.kill()
            if writing.tell() == before:
                raise BenchFailed("tar gave nothing of this machine's files.")


def _make_ntfs(path: Path) -> None:
    """Filled through ntfs-3g, as a system fills it: files of all sizes, in folders."""
    with path.open("wb") as file:
        file.truncate(NTFS_SIZE)
    subprocess.run(["mkntfs", "-q", "-F", "-Q", path], check=True)
    at = path.with_suffix(".mount")
    at.mkdir()
    try:
        # In a mount namespace of its own: whatever ends it, nothing stays mounted.
        subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-euc", _FILL,
             "fill", path, at, str(NTFS_FILES), *(tree for tree in _TREES if Path(tree).is_dir())],
            check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        at.rmdir()


def _make_image(volume: Path, path: Path) -> None:
    with path.open("wb") as file:
        subprocess.run(
            ["ntfsclone", "--save-image", "--output", "-", volume],
            check=True,
            stdout=file,
            stderr=subprocess.DEVNULL,
        )


def _make_sparse(path: Path, size: int) -> None:
    runs = SPARSE_DATA // SPARSE_RUN
    with dense().open("rb") as reading, path.open("wb") as writing:
        writing.truncate(size)
        for number in range(runs):
            writing.seek(number * (size // runs))
            _copy(reading, writing, SPARSE_RUN)


def _copy(reading: IO[bytes], writing: IO[bytes], length: int) -> None:
    """Up to `length` bytes, less only where there are no more."""
    while length and (chunk := reading.read(min(length, MIB))):
        writing.write(chunk)
        length -= len(chunk)
