"""A stored raw snapshot as disks: what an export reads when no server is to be touched.

What must always hold: a part is what its name says (SHA-256), or the export fails; parts of zeros
are never fetched. Memory: the part that is fetched ahead, 17 MiB, beside what snapcore keeps.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING

import snapcore
from sqlalchemy import select

from portal.domain.errors import ObjectDamaged, Unsuitable
from portal.domain.kinds import Kind
from portal.domain.lifecycle import SnapshotState
from portal.domain.names import part_name
from portal.records import FilePart, Part, Snapshot, SnapshotFile
from portal.records.file import FileRole
from portal.services.stores import open_store_of

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from portal.stores.interface import Store
    from worker.kinds.image import Task


def open_stored(task: Task) -> list[snapcore.Stored]:
    """The disks of the snapshot that is exported, in their order. Raises `Unsuitable`."""
    with task.runtime.work() as work:
        origin = work.session.get_one(Snapshot, task.snapshot.origin_id)
        if origin.kind is not Kind.RAW or origin.state is not SnapshotState.DONE:
            raise Unsuitable("Only a raw snapshot that is complete can be exported.")
        files = work.session.scalars(
            select(SnapshotFile)
            .where(SnapshotFile.snapshot_id == origin.id, SnapshotFile.role == FileRole.IMAGE)
            .order_by(SnapshotFile.disk)
        ).all()
        store = open_store_of(work, origin.store)
    task.opened.callback(store.close)
    return [_open(task, store, origin.server.folder, file) for file in files]


def _open(task: Task, store: Store, folder: str, file: SnapshotFile) -> snapcore.Stored:
    fetched: list[tuple[str, int] | None] = []
    places: list[tuple[int, int, bytes | None]] = []
    with task.runtime.work() as work:
        rows = work.session.execute(
            select(FilePart, Part.sha256, Part.size)
            .join(Part, FilePart.part_id == Part.id)
            .where(FilePart.file_id == file.id)
            .order_by(FilePart.position)
            .execution_options(yield_per=500)
        )
        for place, sha256, size in rows:
            frames = None if place.zero else place.frames
            places.append((place.source_offset, place.source_length, frames))
            fetched.append(None if place.zero else (sha256, size))
            work.session.expunge(place)
    fetcher = task.opened.enter_context(PartFetcher(store, folder, fetched))
    return snapcore.Stored(file.source_size or 0, places, fetcher.fetch)


class PartFetcher:
    """Brings parts by their number; read in order, the next one ahead. A context manager."""

    def __init__(self, store: Store, folder: str, parts: list[tuple[str, int] | None]) -> None:
        """`parts`: SHA-256 and size of each, None for those of zeros."""
        self._store = store
        self._folder = folder
        self._parts = parts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._lock = threading.Lock()
        self._ahead: tuple[int, Future[bytes]] | None = None
        self._expected: int | None = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Fetch nothing more; waits for a fetch under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def fetch(self, number: int) -> bytes:
        """The part's bytes, checked. Raises what the store raises, and `ObjectDamaged`."""
        with self._lock:
            ahead, self._ahead = self._ahead, None
            mine = (
                ahead[1]
                if ahead is not None and ahead[0] == number
                else self._pool.submit(self._bring, number)
            )
            following = next(
                (n for n in range(number + 1, len(self._parts)) if self._parts[n] is not None), None
            )
            # Only in a row: file systems are looked at here and there.
            if following is not None and number == self._expected:
                self._ahead = (following, self._pool.submit(self._bring, following))
            self._expected = following
        return mine.result()

    def _bring(self, number: int) -> bytes:
        part = self._parts[number]
        if part is None:
            raise ObjectDamaged("A part of zeros has nothing to fetch.")
        sha256, size = part
        data, found = BytesIO(), hashlib.sha256()
        for chunk in self._store.get(part_name(self._folder, sha256), length=size):
            data.write(chunk)
            found.update(chunk)
        if found.hexdigest() != sha256:
            raise ObjectDamaged("A part of the snapshot in the store is damaged.")
        return data.getvalue()  # what was written itself, not a copy
