"""`python -m bench`: measure, print the table, write bench/results.json."""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bench import exporting, inputs, kinds, storing, streaming
from bench.clock import BenchFailed
from bench.rows import Row, table
from portal.domain.errors import SnapportError
from tests.disks.debian import DiskNotMade

if TYPE_CHECKING:
    from collections.abc import Callable

    Group = Callable[[int, Callable[[str], None]], list[Row]]

RESULTS = Path(__file__).with_name("results.json")
ROUNDS = 5
_BUSY = 0.7
"""Load, over the last minute, above which somebody else's work shows in the times."""
TOOLS = {
    "pigz": "pigz",
    "igzip": "isal",
    "partclone.ext4": "partclone",
    "qemu-img": "qemu-utils",
    "ntfsclone": "ntfs-3g",
    "tar": "tar",
    "bash": "bash",
    "wc": "coreutils",
}
"""Programs, and the Debian packages that have them."""

GROUPS: dict[str, tuple[tuple[str, ...], Group]] = {
    "stream": (("debian-vs-pigz", "debian-size", "debian-vs-igzip"), streaming.debian),
    "smart": (
        ("smart-vs-plain", "smart-vs-pigz", "smart-size", "smart-vs-partclone"),
        streaming.smart,
    ),
    "ntfsclone": (("ntfsclone",), kinds.ntfsclone),
    "tar": (("tar", "tar-unread"), kinds.tar),
    "dense": (("dense-vs-pigz",), streaming.dense),
    "sparse-stream": (("sparse-stream",), streaming.sparse),
    "exports": (
        (
            "vmdk-vs-qemu-img",
            "vmdk-size",
            "vmdk-size-smart",
            "qcow2-vs-qemu-img",
            "vhd-vs-qemu-img",
            "export-memory",
        ),
        exporting.debian,
    ),
    "sparse-exports": (
        ("sparse-vmdk", "sparse-qcow2", "sparse-vhd", "sparse-vhdx", "sparse-ova"),
        exporting.sparse,
    ),
    "swift": (("swift-vs-pipeline", "unchanged", "memory-debian"), storing.debian),
    "memory": (("memory-dense", "memory-export", "memory-sparse"), storing.memory),
    "sparse-swift": (("sparse-swift",), storing.sparse),
}


def main() -> int:
    """0 where all was measured, met or not; 1 where it could not be; 2 for a wrong command line."""
    options = _options()
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        return _failed(f"The bench needs these packages: {' '.join(missing)} (see setup/packages).")
    # The bench runs a Snapport of its own: nothing of another reaches it.
    for name in [name for name in os.environ if name.startswith("SNAPPORT_")]:
        del os.environ[name]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    busy = os.getloadavg()[0]
    if busy > _BUSY:
        _say(f"This machine is busy (load {busy:.1f}): the times below will not be its best.")
    inputs.FOLDER.mkdir(parents=True, exist_ok=True)
    with (inputs.FOLDER / "bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _failed("Another bench is running in this checkout.")
        for left in inputs.FOLDER.glob("run-*"):
            shutil.rmtree(left)
        try:
            inputs.check_room()
            rows = _measure(options.only, options.rounds)
        except (BenchFailed, DiskNotMade, SnapportError) as error:
            return _failed(str(error))
    print(f"\n{table(rows)}")
    facts = {"machine": _machine(), "rounds": options.rounds, "load_before": round(busy, 2)}
    RESULTS.write_text(
        json.dumps({**facts, "rows": [row.as_json() for row in rows]}, indent=2) + "\n"
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [name for rows, _ in GROUPS.values() for name in rows]
    parser.add_argument(
        "--only", action="append", choices=[*GROUPS, *names], help="only this group or row"
    )
    parser.add_argument("--quick", action="store_true", help="one turn each instead of several")
    parser.add_argument("--runs", type=int, default=ROUNDS, help=f"turns of each ({ROUNDS})")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    options.rounds = 1 if options.quick else options.runs
    return options


def _measure(only: list[str] | None, rounds: int) -> list[Row]:
    measured: list[Row] = []
    for group, (names, measure) in GROUPS.items():
        wanted = set(names) if not only or group in only else set(names) & set(only)
        if wanted:
            _say(f"{group}: {', '.join(names)}")
            measured += [row for row in measure(rounds, _say) if row.name in wanted]
    return measured


def _machine() -> dict[str, object]:
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {"cores": len(os.sched_getaffinity(0)), "cpu": cpu, "kernel": platform.release()}


def _say(line: str) -> None:
    print(line, flush=True)


def _failed(why: str) -> int:
    print(f"bench: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
