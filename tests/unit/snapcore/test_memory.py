"""Memory is bounded, whatever the disk. Each case has a process, and so a peak, of its own."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20

# As the worker does it: two threads take parts and hold each for a moment.
TAKE = """
import sys, threading, time
import snapcore
from pathlib import Path

with snapcore.Disk(sys.argv[1]) as disk:
    stream = disk.plan().raw_gzip(threads=int(sys.argv[2]))

def upload():
    for part in stream:
        time.sleep(0.0005)

threads = [threading.Thread(target=upload) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
summary = stream.finish()
status = Path("/proc/self/status").read_text()
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, summary.parts, summary.bytes_read)
"""


def peak_of(path: Path, threads: int = 2) -> tuple[int, int, int]:
    """Peak resident MiB, parts, bytes read."""
    run = subprocess.run(
        [sys.executable, "-c", TAKE, str(path), str(threads)],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, parts, read = map(int, run.stdout.split())
    return peak, parts, read


def test_a_sparse_terabyte_takes_little_memory(make_disk: Callable[..., Path]) -> None:
    path = make_disk(1 << 40, (5 << 30, random.Random(4).randbytes(8 * MIB)))
    peak, parts, read = peak_of(path)
    assert peak < 150
    assert parts > 1000
    assert read == 8 * MIB


@pytest.mark.parametrize("threads", [2, 16])
def test_noise_of_many_parts_stays_within_the_queues(
    make_disk: Callable[..., Path], threads: int
) -> None:
    piece = random.Random(6).randbytes(MIB) * 16
    path = make_disk(512 * MIB, *((at * 16 * MIB, piece) for at in range(32)))
    peak, parts, read = peak_of(path, threads)
    assert peak < 240
    assert parts == 32
    assert read == 512 * MIB
