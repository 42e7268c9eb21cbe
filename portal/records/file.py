"""The files of a snapshot, and the parts that each file is joined from."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.records.declarative import Id, Record, stored_enum
from portal.records.part import Part
from portal.records.snapshot import Snapshot


class FileRole(StrEnum):
    """What a file is for. Values are stored; never rename one."""

    IMAGE = "image"
    PIECE = "piece"
    """A manifest inside a manifest; people do not see it."""
    INDEX = "index"
    README = "readme"


class SnapshotFile(Record):
    """An object in the snapshot's folder, recorded before it is stored.

    `size`, `md5` and `sha256` are of the file that a download gives; `stored` once the store has
    confirmed it. `disk` counts from 1; 0 where the file is of no disk.
    """

    __tablename__ = "snapshot_files"
    __table_args__ = (UniqueConstraint("snapshot_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"))
    role: Mapped[FileRole] = mapped_column(stored_enum(FileRole))
    name: Mapped[str] = mapped_column(String(1024))
    disk: Mapped[int] = mapped_column(default=0)
    size: Mapped[int | None] = mapped_column(BigInteger, default=None)
    md5: Mapped[str | None] = mapped_column(String(32), default=None)
    sha256: Mapped[str | None] = mapped_column(String(64), default=None)
    source_size: Mapped[int | None] = mapped_column(BigInteger, default=None)
    stored: Mapped[bool] = mapped_column(default=False)
    snapshot: Mapped[Snapshot] = relationship(init=False, repr=False, back_populates="files")

    @property
    def label(self) -> str:
        """The file's name as people know it: the last path element."""
        return self.name.rpartition("/")[2]


class FilePart(Record):
    """That a file holds a part at a position; `frames` the compressed sizes, as packed varints."""

    __tablename__ = "file_parts"

    file_id: Mapped[int] = mapped_column(ForeignKey("snapshot_files.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    source_offset: Mapped[int] = mapped_column(BigInteger)
    source_length: Mapped[int] = mapped_column(BigInteger)
    zero: Mapped[bool] = mapped_column(default=False)
    frames: Mapped[bytes] = mapped_column(LargeBinary, default=b"", repr=False)
    part: Mapped[Part] = relationship(init=False, repr=False)
