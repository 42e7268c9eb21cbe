"""What this machine allows at best: each part of the work alone.

- reading: the disk's data, from the page cache, by one thread into one buffer;
- compressing: the CPU seconds of one ISA-L thread (igzip -1) over that data, split over the cores;
- the whole-file MD5: over as many bytes as the file has; it is sequential, no core helps another.

Whatever takes longest of the three is the least that any pipeline can take here. All of it still
has to be done by the same cores: reading, compressing, the MD5 and SHA-256 of the file and of its
parts, added up and split over them, is the least that this pipeline can take (`whole`).
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
    """One core's worth, split over the cores."""
    md5: float
    sha256: float

    @property
    def whole(self) -> float:
        """All the work split over the cores; the parts' MD5 runs beside the file's for nothing."""
        work = self.reading + self.compressing * cores() + self.md5 + 2 * self.sha256
        return max(self.seconds, work / cores())

    @property
    def seconds(self) -> float:
        """The least that all of it together can take."""
        return max(self.reading, self.compressing, self.md5)

    def __str__(self) -> str:
        return (
            f"reading {self.reading:.2f} s, one core's worth of compression over "
            f"{cores()} cores {self.compressing:.2f} s, the whole-file MD5 {self.md5:.2f} s; "
            f"all of it with SHA-256 over the cores {self.whole:.2f} s"
        )


def measure(data: Path, file_size: int) -> Limits:
    """`data` holds what is to be read and nothing else; `file_size` is the stream's."""
    reading = min(_read(data) for _ in range(3))
    compressing = min(shell(f"igzip -1 -c {quote(str(data))} > /dev/null").cpu for _ in range(2))
    md5, sha256 = (min(_hash(name, file_size) for _ in range(2)) for name in ("md5", "sha256"))
    return Limits(reading, compressing / cores(), md5, sha256)


def hashing(file_size: int) -> float:
    """Seconds for MD5 and SHA-256 of each part of so many bytes, over the cores.

    MD5 at its best is two sums side by side, which take what one takes.
    """
    md5, sha256 = (min(_hash(name, file_size) for _ in range(2)) for name in ("md5", "sha256"))
    return (md5 / 2 + sha256) / cores()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def _read(data: Path) -> float:
    buffer = memoryview(bytearray(_BUFFER))
    started = time.perf_counter()
    with data.open("rb", buffering=0) as reading:
        while reading.readinto(buffer):
            pass
    return time.perf_counter() - started


def _hash(name: str, size: int) -> float:
    buffer = os.urandom(_BUFFER)
    digest = hashlib.new(name, usedforsecurity=False)
    started = time.perf_counter()
    for _ in range(size // _BUFFER):
        digest.update(buffer)
    digest.update(buffer[: size % _BUFFER])
    return time.perf_counter() - started
