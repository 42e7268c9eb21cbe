"""`python -m bench.files DISK FOLDER`: the tar stream of a disk to nowhere, with all hashes.

The contender of the tar row: the worker's own reading (a child that mounts and runs tar), cut and
hashed by snapcore as for a snapshot that is not compressed. FOLDER is for what it needs meanwhile.
Prints what it made as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import snapcore

from worker.filesystems.reading import Reading
from worker.filesystems.volumes import table_of, volumes_of

if TYPE_CHECKING:
    from worker.heartbeat import Heartbeat

_THREADS = 2


class _Unwatched:
    """The heartbeat of no job: nothing is cancelled."""

    def check(self) -> None:
        """Goes on."""


def main(path: str, within: str) -> None:
    """Stream the files."""
    with snapcore.Disk(path) as disk:
        volumes = list(volumes_of(1, path, disk.plan(skip_unused=True), table_of(path)))
    with tempfile.TemporaryDirectory(prefix="run-", dir=within) as folder:
        heartbeat = cast("Heartbeat", _Unwatched())
        with Reading(volumes, Path(folder), heartbeat) as reading:
            stream = reading.archive((), gzip=False, threads=_THREADS)
            names = {part.sha256 + part.md5 for part in stream}
            summary = stream.finish()
    print(json.dumps({"size": summary.size, "md5": summary.md5, "different_parts": len(names)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
