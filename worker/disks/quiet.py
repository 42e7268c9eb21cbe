"""Files that nobody may write to while they are read: the disks of servers that are off.

A read lease (fcntl(2), F_SETLEASE) is granted on a file that nobody has open for writing, and
whoever then opens it for writing waits until it is given back. So a file with a lease holds still,
and once the lease is asked back it does no longer. Where none is granted (the server runs, a file
system that other hosts write to as well, no right to leases: CAP_LEASE) nothing is known, and
nothing is assumed.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Self

import structlog

from portal.domain.errors import DiskUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from portal.domain.errors import SnapportError

log = structlog.get_logger()

_OF_THIS_HOST = frozenset(
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "overlay"]
)
"""File systems that nobody writes to but through this kernel. Others may grant leases, and not know
who writes elsewhere."""

_LOOK = 0.1
"""Seconds between looks: as long as a server that starts waits for its disk at most. The kernel
would let it wait for 45 s (/proc/sys/fs/lease-break-time)."""

_STARTED = (
    "The server was started, or something else opened its disk for writing, while the snapshot was"
    " taken. It was stopped: it would have shown no one moment. Take it again, while the server is"
    " off or while it runs."
)


class Quiet:
    """Use as a context manager around the reading; where it is not `on`, nothing is ever quiet.

    `stop` is called, once and on another thread, when a file is opened for writing.
    """

    def __init__(
        self, stop: Callable[[SnapportError], None] = lambda _: None, *, on: bool = True
    ) -> None:
        self._on = on
        self._stop = stop
        self._files: list[int] = []
        self._lock = threading.Lock()
        self._broken = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Watch nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let all files go."""
        self._watch_no_more()
        self._let_go()

    def watch(self, path: Path) -> bool:
        """Whether nobody has the file open for writing; if so, it is watched from now on."""
        if not self._on or _file_system(path) not in _OF_THIS_HOST:
            return False
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            # Nobody is to get a signal: SIGIO would end the process.
            fcntl.fcntl(file, fcntl.F_SETOWN, 0)
        except OSError:
            os.close(file)
            return False
        with self._lock:
            self._files.append(file)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="quiet", daemon=True)
            self._thread.start()
        return True

    def confirm(self) -> None:
        """All was read: raises `DiskUnavailable` if a file was opened for writing meanwhile.

        Who opens one from now on is nobody's trouble.
        """
        self._watch_no_more()
        self._look()
        if self._broken:
            raise DiskUnavailable(_STARTED)
        self._let_go()

    def _watch_no_more(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _let_go(self) -> None:
        for file in self._files:
            os.close(file)  # and with it its lease
        self._files.clear()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK):
            self._look()

    def _look(self) -> None:
        with self._lock:
            if self._broken or all(
                fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_RDLCK for file in self._files
            ):
                return
            self._broken = True
            for file in self._files:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        log.info("disk opened for writing while it was read")
        self._stop(DiskUnavailable(_STARTED))


def _file_system(path: Path) -> str:
    """The kind of file system that a file is on; empty where nobody knows."""
    command = ["findmnt", "--noheadings", "--first-only", "--output=FSTYPE", "--target", str(path)]
    try:
        found = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
