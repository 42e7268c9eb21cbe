"""Which kernel modules an initramfs holds: `python -m worker.filesystems.initramfs MODULE…`.

It reads the file on its standard input and prints those of the modules that are in it, one a line;
or ends with 1 and a sentence. A file that is damaged, or packed in a way that is not known, is told
as such: half a list would look like missing drivers.

The file is a server's own, so it may be made to harm who reads it. What must always hold: before
its first byte is read, this process is nobody (where it was root), without any right, and bounded
in memory and time; nothing is unpacked to anywhere; nothing of the file is printed, only words that
were asked for.

An initramfs is one or more cpio archives (newc) behind each other, zeros between them. The first
ones may be plain (microcode, modules that are compressed themselves); one that is compressed is
taken to reach to the end of the file. Source: the kernel's buffer-format.rst, init/initramfs.c.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
from io import BufferedReader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_MEMORY = 512 * 1024 * 1024
"""Bytes of each process: xz and zstd want up to 128 MiB for the largest window there is."""
_CPU_SECONDS = 60
CONTENT_MOST = 2 * 1024**3
"""Bytes of an unpacked initramfs; one with a distribution's every driver has 0.6 GB."""
ENTRIES_MOST = 200_000
_NAME_MOST = 4096
_CHUNK = 64 * 1024

_UNPACKERS: tuple[tuple[bytes, tuple[str, ...]], ...] = (
    (b"\x1f\x8b", ("gzip", "-dc")),
    (b"BZh", ("bzip2", "-dc")),
    (b"\x5d\x00\x00", ("xz", "--format=lzma", "-dc")),
    (b"\xfd7zXZ", ("xz", "--format=xz", "-dc")),
    (b"\x02\x21\x4c\x18", ("lz4", "-dc")),
    (b"\x28\xb5\x2f\xfd", ("zstd", "-dcq")),
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAGICS = (b"070701", b"070702")
_NUMBERS = re.compile(rb"[0-9A-Fa-f]{104}")
_FILE_SIZE, _NAME_SIZE = 6, 11
"""Which of a header's thirteen numbers."""
_TRAILER = b"TRAILER!!!"
_MODULE = re.compile(rb"([A-Za-z0-9_-]+)\.ko(?:\.(?:gz|xz|zst|bz2|lzma))?")
_IMAGES = (b"squash-root.img", b"squashfs-root.img", b"erofs-root.img")
"""dracut may put everything into a file system of its own."""


class NotKnown(Exception):
    """What is in it cannot be told; the message says why, for the log."""


def module_of(path: bytes) -> str | None:
    """The name of the module that a file is, as the kernel writes it; None where it is none."""
    found = _MODULE.fullmatch(path.rpartition(b"/")[2])
    return found[1].decode().replace("-", "_") if found else None


def modules_in(file: BufferedReader) -> Iterator[str]:
    """Every module of the initramfs; the file is read from its start. Raises `NotKnown`."""
    empty = True
    for name in _names(file):
        empty = False
        if name.rpartition(b"/")[2] in _IMAGES:
            raise NotKnown("it has its modules in an image")
        module = module_of(name)
        if module:
            yield module
    if empty:
        raise NotKnown("it is empty")


def _names(file: BufferedReader) -> Iterator[bytes]:
    archives = _Archives(file)
    yield from archives.names()
    if archives.rest is None:
        return
    command = next((words for magic, words in _UNPACKERS if archives.rest.startswith(magic)), None)
    if command is None:
        raise NotKnown("it is packed in a way that is not known")
    # Below the buffer: where the unpacker, which has the same descriptor, reads on.
    os.lseek(file.fileno(), archives.position, os.SEEK_SET)
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=file.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=_CHUNK,
        env={"PATH": _PATH},
    ) as unpacker:
        try:
            yield from _unpacked(unpacker.stdout)
        except BaseException:
            unpacker.kill()
            raise
    if unpacker.returncode != 0:
        raise NotKnown(f"{command[0]} ended with {unpacker.returncode}")


def _unpacked(file: object) -> Iterator[bytes]:
    if not isinstance(file, BufferedReader):
        raise NotKnown("there is no pipe")
    archives = _Archives(file)
    yield from archives.names()
    if archives.rest is not None:
        raise NotKnown("what it unpacks to is no archive")


class _Archives:
    """Archives behind each other. `rest` is the beginning of what is none; None at the end."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.position = 0
        self.rest: bytes | None = None

    def names(self) -> Iterator[bytes]:
        """The names of all entries. Raises `NotKnown`."""
        entries = 0
        inside = False
        while inside or self._skip_zeros():
            magic = self._take(6, at_least=2)
            if magic not in _MAGICS:
                if inside:
                    raise NotKnown("an archive is damaged")
                self.rest = magic
                self.position -= len(magic)
                return
            name = self._entry()
            inside = name != _TRAILER
            entries += 1
            if entries > ENTRIES_MOST:
                raise NotKnown("it has too many entries")
            yield name

    def _entry(self) -> bytes:
        """The entry behind its magic: its name; its content is left behind."""
        numbers = self._take(104)
        if not _NUMBERS.fullmatch(numbers):
            raise NotKnown("an archive is damaged")
        values = [int(numbers[at : at + 8], 16) for at in range(0, 104, 8)]
        if not 1 <= values[_NAME_SIZE] <= _NAME_MOST:
            raise NotKnown("an archive is damaged")
        name = self._take(values[_NAME_SIZE])
        self._skip(-(110 + values[_NAME_SIZE]) % 4)
        self._skip(values[_FILE_SIZE])
        # The last archive may end with its last byte, without what pads it.
        self._take(-values[_FILE_SIZE] % 4, at_least=0)
        return name.partition(b"\0")[0]

    def _take(self, count: int, *, at_least: int | None = None) -> bytes:
        taken = self._file.read(count)
        if len(taken) < (count if at_least is None else at_least):
            raise NotKnown("it ends too early")
        self.position += len(taken)
        if self.position > CONTENT_MOST:
            raise NotKnown("it is too large")
        return taken

    def _skip(self, count: int) -> None:
        while count:
            count -= len(self._take(min(count, _CHUNK)))

    def _skip_zeros(self) -> bool:
        """Whether anything else follows."""
        while chunk := self._file.peek():
            zeros = len(chunk) - len(chunk.lstrip(b"\0"))
            self._take(zeros)
            if zeros < len(chunk):
                return True
        return False


def give_up_rights() -> None:
    """Become nobody, with little memory and time; what is root's no longer is ours."""
    for limit, most in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(limit, (most, most))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # Who changes its user loses this, so it comes last.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(wanted: Sequence[str]) -> int:
    """Print what of `wanted` is there."""
    give_up_rights()
    asked = set(wanted)
    try:
        with open(0, "rb", closefd=False) as file:  # the standard input
            found = asked.intersection(modules_in(file))
    except (NotKnown, OSError, MemoryError) as error:
        print(str(error) or type(error).__name__)
        return 1
    print("\n".join(sorted(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
