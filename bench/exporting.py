"""The export rows: image files as streams to nowhere with all hashes, beside qemu-img on the disk.

qemu-img writes a file, which it cannot help; it lies in the page cache, and is removed after each
turn. Its own compression threads are as many as it chooses; both have the same cores.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from functools import partial
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench import inputs, limits
from bench.clock import in_turns, shell
from bench.rows import Row
from bench.streaming import stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.clock import Timed, Turns

MEMORY_LIMIT = 300.0
_STREAM_OPTIMIZED = "-O vmdk -o subformat=streamOptimized"


def debian(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The bootable disk as each format, beside qemu-img; its size, and the memory it took."""
    disk = inputs.debian()
    peers = {
        "vmdk": _STREAM_OPTIMIZED,
        "qcow2": "-c -O qcow2",
        "vhd": "-O vpc",
    }
    contenders: dict[str, Callable[[], Timed]] = {}
    for form in (*peers, "vhdx", "ova"):
        contenders[form] = partial(stream, disk, form=form)
        if form in peers:
            contenders[f"qemu-img {form}"] = partial(_qemu_img, disk, peers[form])
    turns = in_turns(contenders, rounds, say)
    peer_size = int(_qemu_img(disk, _STREAM_OPTIMIZED).said)
    smart = json.loads(stream(disk, smart=True, form="vmdk").said)
    return [
        _speed("vmdk-vs-qemu-img", "VMDK, streamOptimized", turns, "vmdk", 12.0),
        _size("vmdk-size", "every sector", _made(turns, "vmdk")["size"], peer_size, 1.1),
        _size("vmdk-size-smart", "without unused space", smart["size"], peer_size, 0.6),
        _speed("qcow2-vs-qemu-img", "qcow2, compressed (zlib)", turns, "qcow2", 6.0),
        replace(
            _speed("vhd-vs-qemu-img", "VHD, dynamic, hashed as well", turns, "vhd", 1.0),
            limit=limits.hashing(_made(turns, "vhd")["size"]),
            limit_by="MD5, two parts side by side, and SHA-256 of its parts, over the cores",
        ),
        Row(
            name="export-memory",
            what="the most memory that a stream of any of these formats had, Python included",
            ours=max(_made(turns, form)["memory"] for form in (*peers, "vhdx", "ova")) / 1024**2,
            peer=None,
            unit="MiB",
            ratio=None,
            sense="≤",
            target=MEMORY_LIMIT,
            judged="ours",
        ),
    ]


def sparse(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The same GiB of data in a disk of 1 TiB and in one of 8 GiB, as each format."""
    small, large = inputs.sparse(inputs.SMALL), inputs.sparse(inputs.LARGE)
    rows = []
    for form in ("vmdk", "qcow2", "vhd", "vhdx", "ova"):
        contenders = {
            f"{form}, 8 GiB": partial(stream, small, form=form),
            f"{form}, 1 TiB": partial(stream, large, form=form),
        }
        turns = in_turns(contenders, rounds, say)
        ratios = turns.ratios(f"{form}, 1 TiB", f"{form}, 8 GiB")
        memory = _made(turns, f"{form}, 1 TiB")["memory"] / 1024**2
        rows.append(
            Row(
                name=f"sparse-{form}",
                what=f"1 TiB sparse with 1 GiB of data as {form}; the peer is 8 GiB with the same",
                ours=turns.median(f"{form}, 1 TiB"),
                peer=turns.median(f"{form}, 8 GiB"),
                unit="s",
                ratio=statistics.median(ratios),
                sense="≤",
                target=3.0,
                spread=(ratios[0], ratios[-1]),
                runs=rounds,
                note=f"{memory:.1f} MiB of memory at the most",
            )
        )
    return rows


def _speed(name: str, what: str, turns: Turns, form: str, target: float) -> Row:
    peer = f"qemu-img {form}"
    ratios = turns.ratios(peer, form)
    return Row(
        name=name,
        what=f"Debian disk, 4 GiB with 0.6 GiB of data, as {what}, beside qemu-img convert",
        ours=turns.median(form),
        peer=turns.median(peer),
        unit="s",
        ratio=statistics.median(ratios),
        sense="≥",
        target=target,
        spread=(ratios[0], ratios[-1]),
        runs=len(ratios),
        note=f"CPU seconds: ours {turns.cpu(form):.2f}, qemu-img {turns.cpu(peer):.2f}",
    )


def _size(name: str, what: str, ours: int, peer: int, target: float) -> Row:
    return Row(
        name=name,
        what=f"size of the VMDK, {what}, beside qemu-img's",
        ours=ours,
        peer=peer,
        unit="bytes",
        ratio=ours / peer,
        sense="≤",
        target=target,
    )


def _made(turns: Turns, name: str) -> dict[str, int]:
    made: dict[str, int] = json.loads(turns.times[name][-1].said)
    return made


def _qemu_img(disk: Path, options: str) -> Timed:
    """Says the size of the file that it made."""
    with TemporaryDirectory(prefix="run-", dir=inputs.FOLDER) as folder:
        made = quote(f"{folder}/disk")
        return shell(f"qemu-img convert {options} {quote(str(disk))} {made}; stat -c %s {made}")
