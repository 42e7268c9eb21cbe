"""Files are read into the page cache shortly before tar comes to them.

tar reads one file after the other and waits for the disk at each: most files are so small that the
kernel has nothing to read ahead. Who walks the tree beside it asks for them in time, many at once.
"""

from __future__ import annotations

import os
import threading
from collections import deque

_MOST_AHEAD = 32 * 1024 * 1024
"""Bytes that were asked for and that tar has not come to: it must not push them out again."""
_OF_A_FILE = 1024 * 1024
"""Bytes of a file that are asked for; behind them the kernel reads ahead by itself."""
_LOOK = 0.005
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"\\": b"\\", b"r": b"\r", b"b": b"\b"}

Place = tuple[int, list[bytes]]
"""Where in the archive: the member by its number, and the names that lead to the file."""


class Ahead:
    """`members` are what tar is to archive, in this order: paths from the root on, `.` for itself.

    Whoever walks calls `bring` for files in tar's order; tar's index (`--index-file`) is given to
    `follow`, on a thread of its own.
    """

    def __init__(self, members: list[bytes]) -> None:
        self._members = {_names(member): number for number, member in enumerate(members)}
        self._asked: deque[tuple[Place, int]] = deque()
        self._ahead = 0
        self._told = b""
        self._ended = threading.Event()

    def follow(self, index: int) -> None:
        """Read tar's index to its end, so that tar never waits for it; close it."""
        rest = b""
        with os.fdopen(index, "rb", buffering=0) as lines:
            while read := lines.read(64 * 1024):
                told, newline, rest = (rest + read).rpartition(b"\n")
                if newline:
                    self._told = told.rpartition(b"\n")[2]
        self._ended.set()

    def bring(self, path: bytes, opened: int) -> None:
        """Ask for the begin of a file; wait first while there is much that tar has not come to."""
        if self._ended.is_set():
            return
        size = min(os.fstat(opened).st_blocks * 512, _OF_A_FILE)
        if size == 0:
            return  # to the kernel 0 would be all of it
        while self._ahead + size > _MOST_AHEAD:
            self._settle()
            if self._ahead + size > _MOST_AHEAD and self._ended.wait(_LOOK):
                return
        os.posix_fadvise(opened, 0, size, os.POSIX_FADV_WILLNEED)
        self._asked.append((self._place(path), size))
        self._ahead += size

    def _settle(self) -> None:
        """Forget what tar has come to."""
        reached = self._place(_plain(self._told))
        while self._asked and self._asked[0][0] <= reached:
            self._ahead -= self._asked.popleft()[1]

    def _place(self, path: bytes) -> Place:
        names = _names(path)
        number = 0
        for length in range(len(names) + 1):
            number = self._members.get(names[:length], number)
        return number, list(names)


def _names(path: bytes) -> tuple[bytes, ...]:
    return tuple(name for name in path.split(b"/") if name not in {b"", b"."})


def _plain(told: bytes) -> bytes:
    """A name as tar's index has it (quoting style “escape”), without the escapes."""
    first, *escaped = told.split(b"\\")
    plain = [first]
    pieces = iter(escaped)
    for piece in pieces:
        if not piece:  # a backslash itself
            plain += [b"\\", next(pieces, b"")]
        elif piece[:3].isdigit():
            plain += [bytes([int(piece[:3], 8) & 0xFF]), piece[3:]]
        else:
            plain += [_ESCAPES.get(piece[:1], piece[:1]), piece[1:]]
    return b"".join(plain)
