"""`python -m bench.stream DISK [--smart|--ntfsclone]`: a stream to nowhere, with all hashes.

The contender of the stream rows: it takes every part as the worker does, asks for its hashes, and
drops it. With `--smart` unused space is left out of a raw stream, else every sector is read; with
`--ntfsclone` it is ntfsclone's image of the one volume. Prints what it made as JSON.
"""

from __future__ import annotations

import json
import sys

import snapcore


def main(path: str, kind: str) -> None:
    """Stream the disk."""
    with snapcore.Disk(path) as disk, _stream(disk, kind) as stream:
        names = {part.sha256 + part.md5 for part in stream}
        summary = stream.finish()
    print(json.dumps({"size": summary.size, "md5": summary.md5, "different_parts": len(names)}))


def _stream(disk: snapcore.Disk, kind: str) -> snapcore.Stream:
    if kind == "--ntfsclone":
        return disk.plan(skip_unused=True).ntfsclone(partition=0)
    return disk.plan(skip_unused=kind == "--smart").raw_gzip()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
