"""The record of parts: which there are, which stand in the store, which file names them where.

What must always hold:
- A part's record is committed before its PUT may begin: a crash leaves no part unknown.
- Records of parts that were known before are a hint, not a proof: the store is asked.
- What files name is written in batches; a crash loses only what the next attempt writes again.

One session under one lock: upload threads share it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update
from sqlalchemy.orm import sessionmaker

from portal.records import FilePart, Part
from portal.records.declarative import now
from worker.frames import pack_frames

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    import snapcore

    from portal.work import Runtime

_BATCH = 200
"""Rows a commit: a sparse disk's thousand parts cost five commits and not a thousand."""


class Ledger:
    """The parts of one server's pool, as one job sees them. A context manager."""

    def __init__(self, runtime: Runtime, *, store_id: int, folder: str) -> None:
        self._session = sessionmaker(runtime.engine, expire_on_commit=False)()
        self._lock = threading.Lock()
        self._store_id = store_id
        self._folder = folder
        self._stored: list[int] = []
        self._places: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        """The ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close without writing what was not flushed."""
        self._session.close()

    def record(self, part: snapcore.Part) -> tuple[int, bool]:
        """The part's number, and whether it was known before. Committed when this returns."""
        with self._lock:
            known = self._session.execute(
                select(Part.id, Part.size, Part.md5).where(
                    Part.store_id == self._store_id,
                    Part.folder == self._folder,
                    Part.sha256 == part.sha256,
                )
            ).one_or_none()
            if known is not None:
                return known.id, True
            number = self._session.scalar(
                insert(Part)
                .values(
                    store_id=self._store_id,
                    folder=self._folder,
                    sha256=part.sha256,
                    md5=part.md5,
                    size=part.size,
                    recorded_at=now(),
                )
                .returning(Part.id)
            )
            self._session.commit()
            if number is None:
                raise RuntimeError("the database returned no number for a part")
            return number, False

    def place(self, file_id: int, part_id: int, part: snapcore.Part) -> None:
        """Note that the part stands in the store, and where the file names it."""
        with self._lock:
            self._stored.append(part_id)
            self._places.append(
                {
                    "file_id": file_id,
                    "position": part.position,
                    "part_id": part_id,
                    "source_offset": part.source_offset,
                    "source_length": part.source_length,
                    "zero": part.zero,
                    "frames": b"" if part.zero else _frame_sizes(part),
                }
            )
            if len(self._places) >= _BATCH:
                self._flush()

    def flush(self) -> None:
        """Commit what is noted."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._stored:
            self._session.execute(
                update(Part)
                .where(Part.id.in_(set(self._stored)), Part.stored_at.is_(None))
                .values(stored_at=now())
                .execution_options(synchronize_session=False)
            )
        if self._places:
            self._session.execute(insert(FilePart), self._places)
        self._session.commit()
        self._stored.clear()
        self._places.clear()


def _frame_sizes(part: snapcore.Part) -> bytes:
    return pack_frames(compressed for _offset, compressed, _source in part.frames)
