# ruff: noqa: PYI021 (what is compiled has its documentation here)
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self, final

from typing_extensions import Buffer

__all__ = [
    "CODEC",
    "CODECS",
    "FRAME_SIZE",
    "Disk",
    "Extent",
    "LogicalVolume",
    "Part",
    "PartReader",
    "Partition",
    "Plan",
    "Stored",
    "Stream",
    "Summary",
    "__version__",
    "inflate",
    "inflate_part",
    "ova",
    "pipe",
]

CODEC: Final[str]
"""The default deflate codec: "isa-l" where it was found at build time, else "zlib-rs"."""
CODECS: Final[tuple[str, ...]]
"""All codecs of this build, the default first."""
FRAME_SIZE: Final[int]
"""Bytes of the source in every frame but a disk's last."""
__version__: Final[str]

@final
class Disk:
    """A regular file or block device, open for reading only.

    With `point_in_time` the caller knows that nobody writes to it until all of it was read. Then a
    file system whose journal has to be replayed need not be taken whole: what is free once it is
    replayed, and was so before, is left out.

    Raises DiskError if it cannot be opened, is neither, or is empty. May be closed while streams
    run.
    """

    def __new__(cls, path: str | os.PathLike[str], *, point_in_time: bool = False) -> Self: ...
    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int:
        """Bytes."""
    @property
    def sector_size(self) -> int:
        """Bytes of a logical sector; 512 for a file."""
    def plan(self, *, skip_unused: bool = True) -> Plan:
        """Finds out what there is to read. Raises DiskError; UsageError on a closed disk.

        With `skip_unused`, space that is surely free in its file system is not read and stands as
        zeros in every stream; without, nothing is looked at and every byte is taken.
        """
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _type: type[BaseException] | None = None,
        _value: BaseException | None = None,
        _traceback: TracebackType | None = None,
        /,
    ) -> None: ...

@final
class Stored:
    """A disk that was stored by `raw_gzip`, to be read from its parts as they are needed.

    `parts`, in order: first byte, bytes, and the packed sizes (LEB128) of its frames, or None where
    it is all zeros. `fetch` gives a part's bytes by its number, from any thread; what it raises the
    stream raises. UsageError: the parts do not make up the disk.
    """

    def __new__(
        cls,
        size: int,
        parts: Sequence[tuple[int, int, bytes | None]],
        fetch: Callable[[int], bytes],
    ) -> Self: ...
    def plan(self, *, skip_unused: bool = True) -> Plan:
        """As Disk.plan; looking at file systems fetches the parts that hold their maps."""

@final
class Extent:
    """A run of bytes of a disk: data, zero (reads as zeros) or unused (free in its file system)."""

    @property
    def start(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def kind(self) -> Literal["data", "zero", "unused"]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Partition:
    """A partition and what is in it; number 0 is the whole disk, where it has no partition table.

    Sizes are in bytes. Texts are empty where there is nothing to tell.
    """

    @property
    def number(self) -> int:
        """As the system counts: from 1, logical partitions from 5."""
    @property
    def start(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def type_id(self) -> str:
        """MBR: "0x83"; GPT: the type's GUID in lower case."""
    @property
    def name(self) -> str:
        """GPT's."""
    @property
    def bootable(self) -> bool: ...
    @property
    def file_system(self) -> str:
        """ "ext4", "NTFS", "XFS", "swap", "LVM2", "LUKS"…; empty where it is not known."""
    @property
    def label(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def block_size(self) -> int:
        """0 where unknown."""
    @property
    def used_bytes(self) -> int | None:
        """By the file system's own count; None where nobody can tell."""
    @property
    def unused_bytes(self) -> int:
        """What is skipped."""
    @property
    def reason(self) -> str | None:
        """Why nothing is skipped, in a sentence; None where what is free is skipped."""
    @property
    def volumes(self) -> list[LogicalVolume]:
        """LVM's, where this is a physical volume."""

@final
class LogicalVolume:
    """A logical volume of LVM and what is in it. The attributes are those of Partition."""

    @property
    def group(self) -> str:
        """The volume group's name."""
    @property
    def name(self) -> str:
        """Within its group."""
    @property
    def start(self) -> int | None:
        """Its first byte on the disk; None where it does not lie there in one piece."""
    @property
    def length(self) -> int: ...
    @property
    def file_system(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def block_size(self) -> int: ...
    @property
    def used_bytes(self) -> int | None: ...
    @property
    def unused_bytes(self) -> int: ...
    @property
    def reason(self) -> str | None: ...

@final
class Plan:
    """What is to be read of a disk."""

    @property
    def size(self) -> int:
        """Bytes of the disk."""
    @property
    def bytes_to_read(self) -> int: ...
    @property
    def extents(self) -> list[Extent]:
        """All of the disk, in order, without a gap. Made anew at each access."""
    @property
    def partitions(self) -> list[Partition]:
        """In the order of the disk; empty without `skip_unused`. Made anew at each access."""
    @property
    def partition_table(self) -> Literal["none", "mbr", "gpt"] | None:
        """None without `skip_unused`."""
    @property
    def reason(self) -> str | None:
        """Why nothing of the whole disk is skipped: a damaged table, two things that claim it."""
    def raw_gzip(self, *, threads: int | None = None, codec: str | None = None) -> Stream:
        """Starts the stream of one standard gzip file, a single member, of the whole disk.

        `threads` compress (by default one a core); two more hash. The bytes do not depend on it.
        """

    def vmdk(
        self,
        *,
        name: str,
        cid: int,
        adapter: str = "lsilogic",
        threads: int | None = None,
        codec: str | None = None,
    ) -> Stream:
        """Starts the stream of one VMDK file (streamOptimized) of the whole disk.

        `name` is what the file calls itself, `cid` a number (32 bits) that tells contents apart,
        `adapter` "ide" or "lsilogic". The disk is rounded up to 64 KiB with zeros. UsageError,
        while it streams, where the file would reach 2 TiB.
        """
    def vhd(
        self,
        *,
        unique_id: bytes,
        created: int,
        fixed: bool = False,
        threads: int | None = None,
    ) -> Stream:
        """Starts the stream of one VHD file of the whole disk.

        `unique_id` (16 bytes) and `created` (seconds since 2000-01-01, UTC) stand in the file.
        Dynamic, its first part comes last, and its hashes are not known; the disk's size is that of
        whole sectors. With `fixed` every sector stands in it, rounded up to 1 MiB with zeros.
        UsageError: more than 2,040 GiB.
        """
    def qcow2(self, *, threads: int | None = None, codec: str | None = None) -> Stream:
        """Starts the stream of one qcow2 file (version 3, compressed) of the whole disk.

        Its first part comes last, and its hashes are not known. The disk's size is that of whole
        sectors.
        """
    def vhdx(self, *, unique_id: bytes, threads: int | None = None) -> Stream:
        """Starts the stream of one VHDX file (dynamic) of the whole disk.

        `unique_id` (16 bytes) stands in the file. Its first part comes last, and its hashes are not
        known. The disk's size is that of whole sectors. UsageError: more than 64 TiB.
        """
    def pieces(
        self,
        ranges: Sequence[tuple[int, int]],
        *,
        gzip: bool,
        threads: int | None = None,
        codec: str | None = None,
    ) -> Stream:
        """Starts the stream of these (start, length) of the disk, one behind the other, in bytes.

        One gzip file, or the bytes as they are. UsageError: an empty range, or one beyond the end.
        """

    def ntfsclone(
        self, *, partition: int, threads: int | None = None, codec: str | None = None
    ) -> Stream:
        """Starts the stream of one gzip file of ntfsclone's image of a partition.

        `partition` is its number, 0 where there is no table.

        Inflated it is what `ntfsclone --save-image` writes; parts count in bytes of the image.
        UsageError: there is no such partition, or it holds no NTFS, or one that is not in good
        order: the sentence says why and to take a raw snapshot instead.
        """

@final
class Part:
    """A run of frames, to be stored as one object; a read-only buffer.

    Ends at the first 16 MiB boundary of the source at which it holds 1 MiB or more, so it is at
    most about 17 MiB, and under 1 MiB only as the file's last or only part.
    """

    @property
    def data(self) -> memoryview:
        """Its bytes, without a copy."""
    @property
    def size(self) -> int:
        """Bytes."""
    @property
    def md5(self) -> str:
        """Hexadecimal, of its own bytes."""
    @property
    def sha256(self) -> str:
        """Hexadecimal, of its own bytes."""
    @property
    def position(self) -> int:
        """Its place in the file, from 0."""
    @property
    def source_offset(self) -> int:
        """The first byte of the disk in it."""
    @property
    def source_length(self) -> int:
        """Bytes of the disk in it."""
    @property
    def zero(self) -> bool:
        """Whether all of them are zeros."""
    @property
    def frames(self) -> list[tuple[int, int, int]]:
        """Of each frame: offset in the part, compressed length, source length.

        Made anew at each access. The gzip header in front of the first part and the trailer behind
        the last are in no frame.
        """
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Stream:
    """Parts of a file, in order, made by threads that run at most four parts ahead.

    Several threads may take parts at the same time: each part goes to one of them. After an error
    or `cancel` every call raises the same. A stream that is dropped ends its threads.
    """

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of the disk and bytes of the file in the parts that were taken."""
    def cancel(self) -> None:
        """Ends the stream, from any thread, without waiting for it.

        Whoever waits for a part gets Cancelled.
        """
    def close(self) -> None:
        """Ends the stream and waits for its threads. Nothing happens to one that has ended."""
    def finish(self) -> Summary:
        """What the file was. Raises UsageError while parts are left."""
    def __iter__(self) -> Self: ...
    def __next__(self) -> Part:
        """Raises DiskError with the offset where reading failed; Cancelled after its end."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        _type: type[BaseException] | None = None,
        _value: BaseException | None = None,
        _traceback: TracebackType | None = None,
        /,
    ) -> None: ...

@final
class Summary:
    """What a finished stream was."""

    @property
    def size(self) -> int:
        """Bytes of the file."""
    @property
    def md5(self) -> str | None:
        """Hexadecimal, of the whole file; None where its front part came last."""
    @property
    def sha256(self) -> str | None:
        """Hexadecimal, of the whole file; None where its front part came last."""
    @property
    def parts(self) -> int: ...
    @property
    def source_size(self) -> int:
        """Bytes of the disk."""
    @property
    def bytes_read(self) -> int:
        """Bytes of the disk that were really read."""
    @property
    def crc32(self) -> int | None:
        """CRC-32 of the disk's bytes, as in a gzip trailer."""

@final
class PartReader:
    """The frames of a part, decompressed, in order."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...

def inflate(data: Buffer, source_length: int, *, codec: str | None = None) -> bytes:
    """One frame, by its entry in `Part.frames`.

    Raises CorruptFrame unless it is exactly `source_length` bytes.
    """

def inflate_part(
    data: Buffer, source_length: int, *, first: bool, last: bool, codec: str | None = None
) -> PartReader:
    """Reads a part back in pieces of FRAME_SIZE, of which only the last may be shorter.

    `first` and `last`: whether the part is its file's first (a gzip header in front) and last (a
    trailer behind). Raises CorruptFrame, at the latest when it should end, unless it is exactly
    `source_length` bytes and nothing more.
    """

def pipe(fd: int, *, gzip: bool, threads: int | None = None, codec: str | None = None) -> Stream:
    """Starts the stream of all that comes out of a pipe, to its end: a gzip file, or as it is.

    Frames and parts are cut by what the bytes are, so that a change in the middle leaves most parts
    as they were; a part is of 1 to 17 MiB, but for the last. The pipe is opened once more: close
    `fd`, so that whoever writes is told when the stream ends early. An end of the pipe is the end
    of the file: whether the writer ended well is the caller's to ask.
    """

def ova(
    disks: Sequence[tuple[Plan, int]],
    *,
    name: str,
    ovf: bytes,
    modified: int,
    adapter: str = "lsilogic",
    threads: int | None = None,
    codec: str | None = None,
) -> Stream:
    """Starts the stream of one OVA: a tar archive of a machine's description and all its disks.

    In it are `NAME.ovf` with the bytes of `ovf`, `NAME-disk1.vmdk`… as `Plan.vmdk` makes them, each
    plan with its `cid`, and `NAME.mf` with the SHA-256 of each. `name` has at most 80 bytes;
    `modified` is in seconds since 1970. The part with a disk's size comes behind that disk, and the
    file's hashes are not known.
    """
