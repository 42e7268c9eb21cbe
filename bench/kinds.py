"""The rows of the kinds that take only what is used: ntfsclone and tar, to nowhere."""

from __future__ import annotations

import json
import sys
from shlex import quote
from typing import TYPE_CHECKING

import snapcore

from bench import inputs, limits
from bench.clock import in_turns, run, shell
from bench.rows import Row
from bench.streaming import speed, stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.clock import Timed, Turns

_TAR = (
    "tar --create --file=- --format=posix --sort=name --numeric-owner --xattrs --xattrs-include='*'"
    " --acls --selinux --sparse --one-file-system ."
)
"""What a person would run who wants all that ours keeps."""


def ntfsclone(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """An NTFS volume of real files, beside the real ntfsclone and pigz -1."""
    volume = inputs.ntfs()
    real = f"ntfsclone --save-image --output - {quote(str(volume))} 2> /dev/null"
    size = json.loads(stream(volume, smart=True, form="ntfsclone").said)["size"]
    bound = limits.measure(inputs.ntfs_image(), size)
    turns = in_turns(
        {
            "ours": lambda: stream(volume, smart=True, form="ntfsclone"),
            "ntfsclone": lambda: shell(f"{real} | pigz -1 > /dev/null"),
        },
        rounds,
        say,
    )
    what = "NTFS volume with 1 GiB of files, ntfsclone's image to nowhere with all hashes"
    return [
        speed("ntfsclone", f"{what}, beside ntfsclone | pigz -1", turns, "ntfsclone", 3.0, bound)
    ]


def tar(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The files of the bootable disk, beside plain GNU tar of the same file system.

    Where GNU tar sees that its archive is /dev/null it reads no file: that peer is for the record.
    """
    disk = inputs.debian()
    plain = f"cd /mnt && {_TAR}"
    turns = in_turns(
        {
            "ours": lambda: run(
                [sys.executable, "-m", "bench.files", str(disk), str(inputs.FOLDER)]
            ),
            "tar | cat": lambda: _mounted(disk, f"{plain} | cat > /dev/null"),
            "tar to /dev/null": lambda: _mounted(disk, f"{plain} > /dev/null"),
        },
        rounds,
        say,
    )
    what = "Debian disk, tar of its files to nowhere with all hashes, mounting included"
    return [
        _no_slower(name, f"{what}; the peer is {peer}", turns, peer)
        for name, peer in (("tar", "tar | cat"), ("tar-unread", "tar to /dev/null"))
    ]


def _mounted(disk: Path, command: str) -> Timed:
    """Run it with the disk's file system at /mnt, in a mount namespace of its own."""
    with snapcore.Disk(disk) as source:
        [partition] = source.plan().partitions
    window = f"loop,offset={partition.start},sizelimit={partition.length}"
    text = f"set -euo pipefail; mount -o ro,{window} {quote(str(disk))} /mnt; {command}"
    return run(["unshare", "--mount", "--propagation", "private", "bash", "-c", text])


def _no_slower(name: str, what: str, turns: Turns, peer: str) -> Row:
    ratios = turns.ratios("ours", peer)
    return Row(
        name=name,
        what=what,
        ours=turns.median("ours"),
        peer=turns.median(peer),
        unit="s",
        ratio=ratios[len(ratios) // 2],
        sense="≤",
        target=1.2,
        spread=(ratios[0], ratios[-1]),
        runs=len(ratios),
        note=f"CPU seconds: ours {turns.cpu('ours'):.2f}; {peer} {turns.cpu(peer):.2f}",
    )
