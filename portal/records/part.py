"""A part: a run of frames stored once for a server, whatever snapshots name it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.records.declarative import Id, Record, now


class Part(Record):
    """An object in a server's pool. Recorded before its PUT, so that a crash leaves none unknown.

    `folder` is the server's; `stored_at` when the store last confirmed it, None before.
    """

    __tablename__ = "parts"
    __table_args__ = (UniqueConstraint("store_id", "folder", "sha256"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    folder: Mapped[str] = mapped_column(String(765))
    sha256: Mapped[str] = mapped_column(String(64))
    md5: Mapped[str] = mapped_column(String(32))
    size: Mapped[int] = mapped_column(Integer)
    recorded_at: Mapped[datetime] = mapped_column(default_factory=now)
    stored_at: Mapped[datetime | None] = mapped_column(default=None)
