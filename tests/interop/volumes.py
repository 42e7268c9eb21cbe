"""File systems of three kinds, full of files, and what can still be read of them.

Their own mounts read them: Linux's for ext and XFS, ntfs-3g's for NTFS, read-only and without a
replay, each in a mount namespace of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import snapcore

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024**2
SECTOR = 512
# At the head of each sector of a file: whatever bears no such mark is the file system's own.
MARK = b"CONTENT!"

_READ = """
import hashlib, json, os, sys
found = {}
for folder, _, names in os.walk("."):
    for name in names:
        path = os.path.join(folder, name)
        try:
            if os.path.islink(path):
                found[path] = os.readlink(path)
            else:
                with open(path, "rb") as file:
                    found[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            pass
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Kind:
    size: int
    mkfs: tuple[str, ...]
    driver: str
    check: tuple[str, ...]


def _ext(*options: str) -> Kind:
    mkfs = ("mke2fs", "-q", "-F", "-b", "1024", "-N", "512", *options)
    return Kind(24 * MIB, mkfs, "ext4", ("e2fsck", "-fn"))


KINDS = {
    "ext4": _ext("-t", "ext4"),
    "ext4 without checksums": _ext("-t", "ext4", "-O", "^metadata_csum,^uninit_bg"),
    "ext2": _ext("-t", "ext2"),
    "XFS": Kind(300 * MIB, ("mkfs.xfs", "-q"), "xfs", ("xfs_repair", "-n")),
    "NTFS": Kind(24 * MIB, ("mkntfs", "-q", "-F", "-c", "1024"), "ntfs", ("ntfsfix", "-n")),
}
_READ_ONLY = {"ext4": "ro,noload", "xfs": "ro,norecovery,nouuid", "ntfs": "ro"}


def make(kind: Kind, path: Path, *, seed: int) -> None:
    """A volume with files of all sizes, links, and many that were deleted again."""
    source = random.Random(seed)
    with path.open("wb") as volume:
        volume.truncate(kind.size)
    subprocess.run([*kind.mkfs, path], check=True, capture_output=True)
    tree = path.with_name("tree")
    for number in range(150):
        file = tree / f"folder-{number % 7}" / f"a-file-with-a-name-{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        sectors = source.choice([1, 3, 8, 40, 300])
        file.write_bytes(
            b"".join(MARK + source.randbytes(SECTOR - len(MARK)) for _ in range(sectors))
        )
    (tree / "link").symlink_to("folder-1/a-file-with-a-name-1")
    script = f"cp -a {tree}/. .; sync -f .; rm folder-*/*[258]"
    _mounted(kind, path, "rw", ["sh", "-euc", script], check=True)


def readable(kind: Kind, path: Path) -> dict[str, str]:
    """SHA-256 of each file that can be read to its end; empty where nothing can be."""
    reader = [sys.executable, "-ISc", _READ]
    output = _mounted(kind, path, _READ_ONLY[kind.driver], reader, check=False)
    return json.loads(output or "{}")


def own_sectors(path: Path) -> list[int]:
    """Where the file system keeps its own: no file's sectors, in blocks that have such a one."""
    places = []
    with path.open("rb") as volume:
        for at in range(0, path.stat().st_size, 8 * SECTOR):
            block = volume.read(8 * SECTOR)
            if not any(block):
                continue
            sectors = [block[start : start + SECTOR] for start in range(0, len(block), SECTOR)]
            own = [not sector.startswith(MARK) for sector in sectors]
            if any(any(sector) for sector, is_own in zip(sectors, own, strict=True) if is_own):
                places += [at + SECTOR * index for index, is_own in enumerate(own) if is_own]
    return places


def smart_raw(disk: Path, restored: Path) -> snapcore.Partition:
    """Through a raw snapshot without its unused space, and back as a customer unpacks it."""
    file = restored.with_suffix(".raw.gz")
    with snapcore.Disk(disk) as opened:
        plan = opened.plan(skip_unused=True)
        with plan.raw_gzip() as stream, file.open("wb") as writing:
            for part in stream:
                writing.write(part)
            stream.finish()
    unpack = f"set -o pipefail; gzip -dc {file} | dd conv=sparse bs=64K of={restored}"
    subprocess.run(["bash", "-euc", unpack], check=True, capture_output=True)
    with restored.open("ab") as volume:
        volume.truncate(disk.stat().st_size)
    [partition] = plan.partitions
    return partition


def _mounted(kind: Kind, path: Path, options: str, command: list[str], *, check: bool) -> str:
    """What a command prints with the volume as its working directory."""
    place = path.with_suffix(".mount")
    place.mkdir(exist_ok=True)
    if kind.driver == "ntfs":
        # In the foreground, so that its end can be waited for.
        mount = (
            f"ntfs-3g -o no_detach,{options} {path} {place} >&2 & "
            f"until mountpoint -q {place}; do kill -0 $! || exit 1; sleep 0.02; done"
        )
    else:
        mount = f"mount -t {kind.driver} -o loop,{options} {path} {place}"
    script = f'{mount}; (cd {place}; "$@"); umount {place}; wait'
    run = subprocess.run(
        ["timeout", "60", "unshare", "-m", "sh", "-euc", script, "sh", *command],
        check=check,
        capture_output=True,
        text=True,
    )
    return run.stdout
