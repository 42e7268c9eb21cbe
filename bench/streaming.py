"""The stream rows: a disk's raw stream to nowhere with all hashes, beside pigz and igzip."""

from __future__ import annotations

import json
import sys
from shlex import quote
from typing import TYPE_CHECKING

from bench import inputs, limits
from bench.clock import Timed, Turns, in_turns, run, shell
from bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def debian(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The bootable disk: beside pigz -1 and igzip -1 -T 2, in time and in size."""
    disk = inputs.debian()
    ours, pigz_size = stream(disk), _size(f"pigz -1 -c {quote(str(disk))}")
    size = json.loads(ours.said)["size"]
    bound = limits.measure(inputs.debian_data(), size)
    turns = in_turns(
        {
            "ours": lambda: stream(disk),
            "pigz -1": lambda: _to_nowhere(f"pigz -1 -c {quote(str(disk))}"),
            "igzip -1 -T 2": lambda: _to_nowhere(f"igzip -1 -T 2 -c {quote(str(disk))}"),
        },
        rounds,
        say,
    )
    what = "Debian disk, 4 GiB with 0.6 GiB of data, raw stream to nowhere with all hashes"
    return [
        speed("debian-vs-pigz", f"{what}, beside pigz -1", turns, "pigz -1", 8.0, bound),
        Row(
            name="debian-size",
            what="the same, size of the stream beside that of pigz -1",
            ours=size,
            peer=pigz_size,
            unit="bytes",
            ratio=size / pigz_size,
            sense="≤",
            target=1.0,
        ),
        speed("debian-vs-igzip", f"{what}, beside igzip", turns, "igzip -1 -T 2", 2.5, bound),
    ]


def dense(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """2 GiB of file data without a hole, beside pigz -1."""
    file = inputs.dense()
    bound = limits.measure(file, json.loads(stream(file).said)["size"])
    turns = in_turns(
        {
            "ours": lambda: stream(file),
            "pigz -1": lambda: _to_nowhere(f"pigz -1 -c {quote(str(file))}"),
        },
        rounds,
        say,
    )
    what = "2 GiB of dense file data (a tar of this machine's files), beside pigz -1"
    return [speed("dense-vs-pigz", what, turns, "pigz -1", 4.0, bound)]


def smart(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The bootable disk without its unused space: beside every sector, pigz and partclone."""
    disk, partition = inputs.debian(), inputs.debian_partition()
    size = json.loads(stream(disk, smart=True).said)["size"]
    pigz_size = _size(f"pigz -1 -c {quote(str(disk))}")
    partclone = f"partclone.ext4 -c -L /dev/null -s {quote(str(partition))} -o - | pigz -1"
    turns = in_turns(
        {
            "ours": lambda: stream(disk, smart=True),
            "every sector": lambda: stream(disk),
            "pigz -1": lambda: _to_nowhere(f"pigz -1 -c {quote(str(disk))}"),
            "partclone": lambda: _to_nowhere(f"({partclone}) 2> /dev/null"),
        },
        rounds,
        say,
    )
    bound = limits.measure(inputs.debian_data(smart=True), size)
    what = "Debian disk, smart raw stream to nowhere with all hashes"
    return [
        speed("smart-vs-plain", f"{what}, beside every sector", turns, "every sector", 1.7, bound),
        speed("smart-vs-pigz", f"{what}, beside pigz -1", turns, "pigz -1", 15.0, bound),
        Row(
            name="smart-size",
            what="the same, size of the stream beside that of pigz -1",
            ours=size,
            peer=pigz_size,
            unit="bytes",
            ratio=size / pigz_size,
            sense="≤",
            target=0.55,
        ),
        speed(
            "smart-vs-partclone",
            f"{what}, beside partclone | pigz -1",
            turns,
            "partclone",
            1.0,
            bound,
        ),
    ]


def sparse(rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The same GiB of data in a disk of 1 TiB and in one of 8 GiB."""
    small, large = inputs.sparse(inputs.SMALL), inputs.sparse(inputs.LARGE)
    bound = limits.measure(inputs.sparse_data(), json.loads(stream(large).said)["size"])
    turns = in_turns({"8 GiB": lambda: stream(small), "1 TiB": lambda: stream(large)}, rounds, say)
    ratios = turns.ratios("1 TiB", "8 GiB")
    return [
        Row(
            name="sparse-stream",
            what="1 TiB sparse with 1 GiB of data, raw stream; the peer is 8 GiB with the same",
            ours=turns.median("1 TiB"),
            peer=turns.median("8 GiB"),
            unit="s",
            ratio=ratios[len(ratios) // 2],
            sense="≤",
            target=2.0,
            spread=(ratios[0], ratios[-1]),
            runs=rounds,
            limit=bound.seconds,
            limit_by=str(bound),
        )
    ]


def speed(
    name: str, what: str, turns: Turns, peer: str, target: float, bound: limits.Limits
) -> Row:
    """A row of how many times faster ours was."""
    ratios = turns.ratios(peer, "ours")
    busy = turns.cpu("ours") / turns.median("ours")
    return Row(
        name=name,
        what=what,
        ours=turns.median("ours"),
        peer=turns.median(peer),
        unit="s",
        ratio=ratios[len(ratios) // 2],
        sense="≥",
        target=target,
        spread=(ratios[0], ratios[-1]),
        runs=len(ratios),
        limit=bound.seconds,
        limit_by=str(bound),
        note=(
            f"CPU seconds: ours {turns.cpu('ours'):.2f}, {busy:.2f} of {limits.cores()} cores; "
            f"{peer} {turns.cpu(peer):.2f}; all the work at its least takes "
            f"{bound.whole / turns.median('ours'):.0%} of ours"
        ),
    )


def stream(disk: Path, *, smart: bool = False, form: str = "raw") -> Timed:
    """The stream of a disk to nowhere in that format, by a program of its own."""
    options = ["--smart"] if smart else []
    return run([sys.executable, "-m", "bench.stream", str(disk), form, *options])


def _to_nowhere(command: str) -> Timed:
    return shell(f"{command} > /dev/null")


def _size(command: str) -> int:
    return int(shell(f"{command} | wc -c").said)
