"""Joining a file's parts by a manifest, or by manifests of manifests where there are many.

What must always hold:
- The store checked every part (size and MD5) before the manifest stood, and the joined file has
  the size that was streamed.
- Every manifest in between is recorded before its PUT, so that deleting finds it.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.errors import ObjectDamaged
from portal.domain.names import manifest_piece, part_name
from portal.records import FilePart, Part, SnapshotFile
from portal.records.file import FileRole
from portal.stores.interface import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.stores.interface import Store, StoredObject
    from portal.work import Runtime
    from worker.heartbeat import Heartbeat


class Joiner:
    """Joins the files of one snapshot."""

    def __init__(
        self, runtime: Runtime, store: Store, heartbeat: Heartbeat, *, pool: str, folder: str
    ) -> None:
        """`pool` is the server's folder, `folder` the snapshot's."""
        self._runtime = runtime
        self._store = store
        self._heartbeat = heartbeat
        self._pool = pool
        self._folder = folder
        self._most = store.limits().manifest_segments

    def join(self, file: SnapshotFile, *, size: int, content_type: str) -> StoredObject:
        """Make the file's manifest; `size` is what the stream said."""
        pieces = self._parts(file)
        level = 0
        while True:
            head = list(islice(pieces, self._most + 1))
            if len(head) <= self._most:
                break
            level += 1
            pieces = iter(self._join_level(file, level, chain(head, pieces), content_type))
        joined = self._store.put_manifest(file.name, head, content_type=content_type)
        if joined.size != size:
            raise ObjectDamaged(
                f"The store joined the file to {joined.size} bytes instead of {size}."
            )
        return joined

    def _join_level(
        self, file: SnapshotFile, level: int, pieces: Iterator[Segment], content_type: str
    ) -> list[Segment]:
        joined = []
        for number, chunk in enumerate(_chunks(pieces, self._most)):
            self._heartbeat.check()
            name = manifest_piece(self._folder, file.label, level, number)
            with self._runtime.work() as work:
                work.session.add(
                    SnapshotFile(
                        snapshot_id=file.snapshot_id, role=FileRole.PIECE, name=name, disk=file.disk
                    )
                )
                work.commit()
            stored = self._store.put_manifest(name, chunk, content_type=content_type)
            joined.append(Segment(name, stored.size, stored.etag, is_manifest=True))
        return joined

    def _parts(self, file: SnapshotFile) -> Iterator[Segment]:
        with self._runtime.work() as work:
            rows = work.session.execute(
                select(Part.sha256, Part.size, Part.md5, FilePart.position)
                .join(FilePart, FilePart.part_id == Part.id)
                .where(FilePart.file_id == file.id)
                .order_by(FilePart.position)
                .execution_options(yield_per=1000)
            )
            for expected, row in enumerate(rows):
                if row.position != expected:
                    raise ObjectDamaged(f"Part {expected} of the file was never recorded.")
                yield Segment(part_name(self._pool, row.sha256), row.size, row.md5)


def _chunks(pieces: Iterator[Segment], most: int) -> Iterator[list[Segment]]:
    while chunk := list(islice(pieces, most)):
        yield chunk
