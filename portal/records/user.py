"""A user: a person who signs in, for one account or for support."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.records.account import Account
from portal.records.declarative import Id, Record, now, stored_enum


class Role(StrEnum):
    """What a user may do."""

    CUSTOMER = "customer"
    SUPPORT = "support"


class User(Record):
    """A person. `email` is kept in lower case; `session_epoch` ends sessions when it is raised."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(
            "(role = 'support' AND account_id IS NULL)"
            " OR (role = 'customer' AND account_id IS NOT NULL)",
            name="role_account",
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255), repr=False)
    role: Mapped[Role] = mapped_column(stored_enum(Role))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    session_epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default_factory=now)
    account: Mapped[Account | None] = relationship(init=False, lazy="joined")
