"""`python -m bench.stream DISK [--smart]`: the raw stream of a disk to nowhere, with all hashes.

The contender of the stream rows: it takes every part as the worker does, asks for its hashes, and
drops it. With `--smart` unused space is left out, else every sector is read. Prints what it made
as JSON.
"""

from __future__ import annotations

import json
import sys

import snapcore


def main(path: str, *, smart: bool) -> None:
    """Stream the disk."""
    with snapcore.Disk(path) as disk, disk.plan(skip_unused=smart).raw_gzip() as stream:
        names = {part.sha256 + part.md5 for part in stream}
        summary = stream.finish()
    print(json.dumps({"size": summary.size, "md5": summary.md5, "different_parts": len(names)}))


if __name__ == "__main__":
    main(sys.argv[1], smart="--smart" in sys.argv[2:])
