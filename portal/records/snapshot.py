"""A snapshot: one taking of a server's disks into a store."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.domain.kinds import Kind
from portal.domain.lifecycle import SnapshotState
from portal.domain.options import Options
from portal.records.declarative import Id, Record, now, stored_enum
from portal.records.server import Server
from portal.records.store import StoreRecord
from portal.records.user import User

if TYPE_CHECKING:
    from portal.records.file import SnapshotFile
    from portal.records.job import Job


class Snapshot(Record):
    """A snapshot. Sizes in bytes.

    `folder` is its path in the store (`FOLDER/<time>`); `size` what its files weigh for a
    downloader, `sent` what went over the wire, `reused` what stood in the store already, `source`
    the disks' size. `choices` are `portal.domain.options`; `origin` the snapshot that an export was
    made of, None where it was made of the disks. `error` is the sentence that people read.
    """

    __tablename__ = "snapshots"
    __table_args__ = (
        UniqueConstraint("store_id", "folder"),
        Index("ix_snapshots_history", "server_id", "id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), index=True)
    kind: Mapped[Kind] = mapped_column(stored_enum(Kind))
    state: Mapped[SnapshotState] = mapped_column(stored_enum(SnapshotState))
    folder: Mapped[str] = mapped_column(String(800))
    options: Mapped[str] = mapped_column(Text, default="{}")
    origin_id: Mapped[int | None] = mapped_column(
        ForeignKey("snapshots.id"), index=True, default=None
    )
    requested_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), default=None)
    requested_at: Mapped[datetime] = mapped_column(default_factory=now)
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    size: Mapped[int | None] = mapped_column(BigInteger, default=None)
    source: Mapped[int | None] = mapped_column(BigInteger, default=None)
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    reused: Mapped[int] = mapped_column(BigInteger, default=0)
    error: Mapped[str | None] = mapped_column(Text, default=None)
    server: Mapped[Server] = relationship(init=False, lazy="joined")
    store: Mapped[StoreRecord] = relationship(init=False, lazy="joined")
    requested_by: Mapped[User | None] = relationship(init=False, repr=False)
    origin: Mapped[Snapshot | None] = relationship(
        init=False, repr=False, remote_side="Snapshot.id"
    )
    files: Mapped[list[SnapshotFile]] = relationship(
        init=False, repr=False, back_populates="snapshot", order_by="SnapshotFile.id"
    )
    jobs: Mapped[list[Job]] = relationship(
        init=False, repr=False, back_populates="snapshot", order_by="Job.id"
    )

    @property
    def choices(self) -> Options:
        """What was chosen for it."""
        return Options.from_text(self.options)
