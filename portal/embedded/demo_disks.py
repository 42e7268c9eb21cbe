"""The demonstration's disks: real file systems with real files, made without root or mounts.

What must always hold: a disk appears under its name only when it is whole; making it again gives
the same files with the same contents; the images are sparse.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from portal.domain.errors import NotFound, SnapportError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024**2
SECTOR = 512
PARTITION_START = 2048  # sectors: 1 MiB, where every partitioning tool begins

LINUX, NTFS = 0x83, 0x07  # partition types of the MBR
BORN = 1_763_800_000
"""The files' time stamp (2025-11-22)."""


@dataclass(frozen=True, slots=True)
class DiskImage:
    """A disk to be made: `size` in bytes, one partition to its end."""

    name: str
    size: int
    partition_type: int
    signature: int


WEB = DiskImage("web-1.img", 2048 * MIB, LINUX, 0x53504F52)
OFFICE = DiskImage("office-1.img", 1024 * MIB, NTFS, 0x53504F53)


def make(image: DiskImage, folder: Path) -> Path:
    """The disk's path; makes it where it is not there yet."""
    path = folder / image.name
    if path.exists():
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as made_in:
        partition = Path(made_in, "partition")
        size = image.size - PARTITION_START * SECTOR
        with partition.open("wb") as file:
            file.truncate(size)
        if image.partition_type == LINUX:
            _make_ext4(partition, Path(made_in, "root"))
        else:
            _make_ntfs(partition, Path(made_in, "files"))
        disk = Path(made_in, "disk")
        with disk.open("wb") as target, partition.open("rb") as source:
            target.truncate(image.size)
            target.write(boot_record(image))
            _copy_data(source.fileno(), target.fileno(), PARTITION_START * SECTOR)
            os.fsync(target.fileno())
        disk.replace(path)
    return path


def boot_record(image: DiskImage) -> bytes:
    """An MBR with one active partition that reaches to the end of the disk."""
    sectors = image.size // SECTOR - PARTITION_START
    # Cylinders beyond 1023 are written as (1023, 254, 63): "look at the LBA fields".
    entry = struct.pack(
        "<B3sB3sII",
        0x80,
        b"\x20\x21\x00",
        image.partition_type,
        b"\xfe\xff\xff",
        PARTITION_START,
        sectors,
    )
    return struct.pack("<440xIH", image.signature, 0) + entry + bytes(48) + b"\x55\xaa"


def _make_ext4(partition: Path, root: Path) -> None:
    for name, contents in _web_files():
        _write(root / name, contents)
    (root / "var/www/html/current").symlink_to("releases/2025-11")
    for folder in ("proc", "sys", "dev", "tmp", "root"):
        (root / folder).mkdir()
    for entry in [root, *root.rglob("*")]:
        os.utime(entry, (BORN, BORN), follow_symlinks=False)
    _run(
        "mkfs.ext4",
        "-q",
        "-F",
        *("-L", "web-1"),
        *("-U", "6d9a9b0e-6c1e-4d55-9a43-5f3c1b7f0a01"),
        *("-E", "hash_seed=6d9a9b0e-6c1e-4d55-9a43-5f3c1b7f0a02,root_owner=0:0"),
        *("-d", str(root)),
        str(partition),
    )


def _make_ntfs(partition: Path, files: Path) -> None:
    sectors = partition.stat().st_size // SECTOR
    _run(
        "mkntfs",
        *("-F", "-Q", "-q"),
        *("-L", "Windows"),
        *("-s", str(SECTOR), "-p", str(PARTITION_START), "-H", "255", "-S", "63"),
        str(partition),
        str(sectors),
    )
    for name, contents in _office_files():
        _write(files / name, contents)
        # ntfscp makes no folders: everything stands in the root.
        _run("ntfscp", "-q", "-f", str(partition), str(files / name), f"/{name}")


def _web_files() -> Iterator[tuple[str, bytes]]:
    yield "etc/hostname", b"web-1\n"
    yield "etc/os-release", b'NAME="Demonstration Linux"\nID=demo\n'
    yield "etc/fstab", b"LABEL=web-1 / ext4 defaults 0 1\n"
    yield (
        "var/www/html/releases/2025-11/index.html",
        "<!doctype html><title>web-1</title><p>Grüße vom Server!\n".encode(),
    )
    yield "home/käthe/Ünïcode “näme”.txt", b"Ein Name mit Umlauten.\n"
    library = Path(sysconfig.get_path("stdlib"))
    for source in sorted([*library.rglob("*.py"), *library.glob("lib-dynload/*.so")]):
        inside = source.relative_to(library)
        if {"site-packages", "test", "tests"}.isdisjoint(inside.parts):
            yield f"usr/lib/python3/{inside}", source.read_bytes()
    yield "usr/bin/python3", Path(sys.executable).resolve().read_bytes()
    for day in range(1, 11):
        yield f"var/log/nginx/access.log.{day}", _access_log(day, 6 * MIB)
    chance = random.Random("web-1")  # noqa: S311 - the same pictures every time
    for number in range(40):
        yield f"var/www/html/media/IMG_{number:04}.jpg", chance.randbytes(2 * MIB)


def _office_files() -> Iterator[tuple[str, bytes]]:
    chance = random.Random("office-1")  # noqa: S311 - the same files every time
    for year in range(2016, 2026):
        yield f"Annual report {year}.docx", chance.randbytes(3 * MIB)
        yield f"Umsätze {year}.csv", _table(year, 2 * MIB)
    yield "setup.exe", Path(sys.executable).resolve().read_bytes()
    yield "Readme.txt", b"Snapport demonstration.\r\n" * 20


def _access_log(day: int, size: int) -> bytes:
    chance = random.Random(day)  # noqa: S311 - the same lines every time
    lines, length = [], 0
    while length < size:
        line = (
            f"192.0.2.{chance.randrange(256)} - - [{day:02}/Nov/2025:{chance.randrange(24):02}:"
            f"{chance.randrange(60):02}:00 +0000] "
            f'"GET /article/{chance.randrange(5000)} HTTP/1.1" '
            f"{chance.choice((200, 200, 200, 304, 404))} {chance.randrange(200_000)}\n"
        )
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()


def _table(year: int, size: int) -> bytes:
    chance = random.Random(year)  # noqa: S311 - the same numbers every time
    lines, length = ["Kunde;Monat;Umsatz\r\n"], 0
    while length < size:
        line = (
            f"K{chance.randrange(9000)};{year}-{chance.randrange(1, 13):02};"
            f"{chance.randrange(10**7) / 100:.2f}\r\n"
        )
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()


def _write(path: Path, contents: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    os.utime(path, (BORN, BORN))


def _copy_data(source: int, target: int, offset: int) -> None:
    """Copy what is data, and leave holes where there are holes; `offset` in the target."""
    end = os.lseek(source, 0, os.SEEK_END)
    position = 0
    while position < end:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        stop = os.lseek(source, position, os.SEEK_HOLE)
        while position < stop:
            piece = os.pread(source, min(4 * MIB, stop - position), position)
            if not piece:
                raise SnapportError("A disk image became shorter while it was copied.")
            os.pwrite(target, piece, offset + position)
            position += len(piece)


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise NotFound(f"{program} is not installed: run `setup/packages run`.")
    done = subprocess.run(  # noqa: S603 - found above, our own arguments
        [found, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(BORN), "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SnapportError(f"{program} failed: {said[-1] if said else done.returncode}")
