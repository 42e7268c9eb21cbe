"""How much of a stretch of the disk has to be read: what progress is counted in.

Holes cost nothing, so counting them would make the time left a lie.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import snapcore


def data_of(plan: snapcore.Plan) -> Iterator[tuple[int, int]]:
    """The (start, length) of all that is read of a disk."""
    for extent in plan.extents:
        if extent.kind == "data":
            yield extent.start, extent.length


def within(data: Iterable[tuple[int, int]], start: int, length: int) -> Iterator[tuple[int, int]]:
    """What of these runs lies in `[start, start + length)`, counted from `start`."""
    end = start + length
    for run, size in data:
        first, last = max(run, start), min(run + size, end)
        if first < last:
            yield first - start, last - first


class ReadMeter:
    """Answers for any stretch; 24 bytes an extent."""

    def __init__(self, data: Iterable[tuple[int, int]]) -> None:
        """`data`: (start, length) of what is read, in bytes, in order and apart."""
        self._starts = array("q")
        self._ends = array("q")
        self._before = array("q")
        self.total = 0
        for start, length in data:
            self._starts.append(start)
            self._ends.append(start + length)
            self._before.append(self.total)
            self.total += length

    def bytes_in(self, offset: int, length: int) -> int:
        """How many bytes of `[offset, offset + length)` are read."""
        return self._up_to(offset + length) - self._up_to(offset)

    def _up_to(self, position: int) -> int:
        at = bisect_right(self._starts, position) - 1
        if at < 0:
            return 0
        return self._before[at] + min(position, self._ends[at]) - self._starts[at]
