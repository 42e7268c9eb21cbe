"""An account: a customer, for whom users sign in, and who owns servers and stores."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from portal.records.declarative import Id, Record, now


class Account(Record):
    """A customer."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    created_at: Mapped[datetime] = mapped_column(default_factory=now)
