"""Disks into streams of parts: read, compressed and hashed by a Rust core, without the GIL.

with snapcore.Disk(path) as disk:
    stream = disk.plan(skip_unused=True).raw_gzip(threads=2)
    for part in stream:
        store.put(part)
    summary = stream.finish()
"""

from snapcore._snapcore import (
    CODEC,
    CODECS,
    FRAME_SIZE,
    Disk,
    Extent,
    LogicalVolume,
    Part,
    Partition,
    PartReader,
    Plan,
    Stored,
    Stream,
    Summary,
    __version__,
    inflate,
    inflate_part,
    ova,
    pipe,
)
from snapcore.errors import (
    Cancelled,
    CorruptFrame,
    DiskError,
    InternalError,
    SnapcoreError,
    UsageError,
)

__all__ = [
    "CODEC",
    "CODECS",
    "FRAME_SIZE",
    "Cancelled",
    "CorruptFrame",
    "Disk",
    "DiskError",
    "Extent",
    "InternalError",
    "LogicalVolume",
    "Part",
    "PartReader",
    "Partition",
    "Plan",
    "SnapcoreError",
    "Stored",
    "Stream",
    "Summary",
    "UsageError",
    "__version__",
    "inflate",
    "inflate_part",
    "ova",
    "pipe",
]
