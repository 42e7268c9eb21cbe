"""A store: a customer's object store, with its credentials encrypted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.records.account import Account
from portal.records.declarative import Id, Record, now


class StoreRecord(Record):
    """Where a customer's snapshots go ("Memstore").

    `identity` says which container of which account of which service this is, so that no two
    records can share a pool of parts; `sealed` holds all the driver needs, encrypted by the vault.
    """

    __tablename__ = "stores"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    driver: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(String(1000))
    identity: Mapped[str] = mapped_column(String(64), unique=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary, repr=False)
    created_at: Mapped[datetime] = mapped_column(default_factory=now)
    account: Mapped[Account] = relationship(init=False, lazy="joined")
