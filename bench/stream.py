"""`python -m bench.stream DISK [FORMAT] [--smart]`: a stream to nowhere, with all hashes.

The contender of the stream rows: it takes every part as the worker does, asks for its hashes, and
drops it. With `--smart` unused space is left out, else every sector is read. Prints what it made,
and the most memory that it had, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import TYPE_CHECKING

import snapcore

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIQUE = bytes(16)

FORMATS: dict[str, Callable[[snapcore.Plan], snapcore.Stream]] = {
    "raw": lambda plan: plan.raw_gzip(),
    "ntfsclone": lambda plan: plan.ntfsclone(partition=0),
    "vmdk": lambda plan: plan.vmdk(name="disk.vmdk", cid=1),
    "vhd": lambda plan: plan.vhd(unique_id=_UNIQUE, created=0),
    "vhdx": lambda plan: plan.vhdx(unique_id=_UNIQUE),
    "qcow2": lambda plan: plan.qcow2(),
    "ova": lambda plan: snapcore.ova([(plan, 1)], name="disk", ovf=b"", modified=0),
}


def main(path: str, form: str, *, smart: bool) -> None:
    """Stream the disk."""
    with snapcore.Disk(path) as disk, FORMATS[form](disk.plan(skip_unused=smart)) as stream:
        names = {part.sha256 + part.md5 for part in stream}
        summary = stream.finish()
    made = {"size": summary.size, "md5": summary.md5, "different_parts": len(names)}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**made, "memory": memory}))


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--smart"]
    main(*(words if len(words) > 1 else [*words, "raw"]), smart="--smart" in sys.argv)
