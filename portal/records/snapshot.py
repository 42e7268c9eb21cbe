"""A snapshot: one taking of a server's disks into a store."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.domain.kinds import Kind
from portal.domain.lifecycle import SnapshotState
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
    the disks' size. `skip_unused`: what file systems had free was left out. `error` is the
    sentence that people read.
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
    skip_unused: Mapped[bool] = mapped_column(default=True)
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
    files: Mapped[list[SnapshotFile]] = relationship(
        init=False, repr=False, back_populates="snapshot", order_by="SnapshotFile.id"
    )
    jobs: Mapped[list[Job]] = relationship(
        init=False, repr=False, back_populates="snapshot", order_by="Job.id"
    )
