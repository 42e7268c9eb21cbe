"""Reading a joined file back: for files whose front part was made last.

Such a file's hashes cannot be worked out while it streams: they begin with what was known in the
end. So it is read once as a customer will download it, and this proves it too.

What must always hold: the file that stands has the parts that were made, byte for byte, or the
snapshot fails. Memory: a chunk of the store's, 1 MiB at most.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.errors import ObjectDamaged
from portal.records import FilePart, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.records import SnapshotFile
    from portal.stores.interface import Store
    from portal.work import Runtime
    from worker.heartbeat import Heartbeat


@dataclass(frozen=True, slots=True)
class Proven:
    """The whole file's hashes, hexadecimal."""

    md5: str
    sha256: str


def read_back(
    runtime: Runtime, store: Store, heartbeat: Heartbeat, file: SnapshotFile, *, worth: int
) -> Proven:
    """Read the file and check every part. It counts as `worth` bytes of progress.

    Raises `ObjectDamaged`, and whatever the store raises.
    """
    size = file.size or 0
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    parts = _parts(runtime, file)
    left, expected, own = 0, "", hashlib.sha256()
    read = counted = 0
    for chunk in store.get(file.name):
        heartbeat.check()
        md5.update(chunk)
        sha256.update(chunk)
        rest = memoryview(chunk)
        while rest:
            if not left:
                left, expected = next(parts, (0, ""))
                own = hashlib.sha256()
                if not left:
                    raise ObjectDamaged("The file in the store is longer than it was made.")
            taken = rest[:left]
            own.update(taken)
            left -= len(taken)
            rest = rest[len(taken) :]
            if not left and own.hexdigest() != expected:
                raise ObjectDamaged("A part of the file in the store differs from what was sent.")
        read += len(chunk)
        done = worth * read // size if size else worth
        heartbeat.count(done=done - counted)
        counted = done
    if left or next(parts, None) is not None or read != size:
        raise ObjectDamaged(f"The file in the store has {read} bytes instead of {size}.")
    return Proven(md5.hexdigest(), sha256.hexdigest())


def _parts(runtime: Runtime, file: SnapshotFile) -> Iterator[tuple[int, str]]:
    """The size and SHA-256 of each part, in the file's order; no part is empty."""
    with runtime.work() as work:
        rows = work.session.execute(
            select(Part.size, Part.sha256)
            .join(FilePart, FilePart.part_id == Part.id)
            .where(FilePart.file_id == file.id)
            .order_by(FilePart.position)
            .execution_options(yield_per=1000)
        )
        for row in rows:
            yield row.size, row.sha256
