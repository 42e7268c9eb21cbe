"""A host: a machine that holds disks and runs a worker; its queue bears its name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from portal.records.declarative import Record


class Host(Record):
    """A host. `seen_at` is when its worker last showed life; None before the first time."""

    __tablename__ = "hosts"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    seen_at: Mapped[datetime | None] = mapped_column(default=None)
