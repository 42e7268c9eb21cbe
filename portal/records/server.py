"""A server and its disks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.records.account import Account
from portal.records.declarative import Id, Record, now


class Disk(Record):
    """One disk of a server: a driver of `worker/disks` and an address that the driver understands.

    `size` in bytes and `layout` (`portal.domain.layout`) as a worker last saw them; None before.
    """

    __tablename__ = "disks"
    __table_args__ = (UniqueConstraint("server_id", "position"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), init=False)
    position: Mapped[int]
    driver: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(BigInteger, default=None)
    layout: Mapped[str | None] = mapped_column(Text, default=None)
    inspected_at: Mapped[datetime | None] = mapped_column(default=None)


class Server(Record):
    """A customer's virtual machine. `folder` is its folder in any store, fixed for its life."""

    __tablename__ = "servers"
    __table_args__ = (
        UniqueConstraint("account_id", "name"),
        UniqueConstraint("account_id", "folder"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    folder: Mapped[str] = mapped_column(String(765))
    host_name: Mapped[str] = mapped_column(ForeignKey("hosts.name"))
    operating_system: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime] = mapped_column(default_factory=now)
    account: Mapped[Account] = relationship(init=False, lazy="joined")
    disks: Mapped[list[Disk]] = relationship(
        order_by=Disk.position,
        cascade="all, delete-orphan",
        default_factory=list,
        lazy="selectin",
    )
