"""What this machine allows at best: each part of the work alone.

- reading: the disk's data, from the page cache, by one thread into one buffer;
- compressing: the CPU seconds of one ISA-L thread (igzip -1) over that data, split over the cores;
- the whole-file MD5: over as many bytes as the file has; it is sequential, no core helps another.

Whatever takes longest of the three is the least that any pipeline can take here.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from bench.clock import shell

if TYPE_CHECKING:
    from pathlib import Path

_BUFFER = 1024**2


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds."""

    reading: float
    compressing: float
    md5: float

    @property
    def seconds(self) -> float:
        """The least that all of it together can take."""
        return max(self.reading, self.compressing, self.md5)

    def __str__(self) -> str:
        return (
            f"reading {self.reading:.2f} s, one core's worth of compression over "
            f"{cores()} cores {self.compressing:.2f} s, the whole-file MD5 {self.md5:.2f} s"
        )


def measure(data: Path, file_size: int) -> Limits:
    """`data` holds what is to be read and nothing else; `file_size` is the stream's."""
    reading = min(_read(data) for _ in range(3))
    compressing = min(shell(f"igzip -1 -c {quote(str(data))} > /dev/null").cpu for _ in range(2))
    return Limits(reading, compressing / cores(), min(_md5(file_size) for _ in range(2)))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def _read(data: Path) -> float:
    buffer = memoryview(bytearray(_BUFFER))
    started = time.perf_counter()
    with data.open("rb", buffering=0) as reading:
        while reading.readinto(buffer):
            pass
    return time.perf_counter() - started


def _md5(size: int) -> float:
    buffer = os.urandom(_BUFFER)
    digest = hashlib.md5(usedforsecurity=False)
    started = time.perf_counter()
    for _ in range(size // _BUFFER):
        digest.update(buffer)
    digest.update(buffer[: size % _BUFFER])
    return time.perf_counter() - started
