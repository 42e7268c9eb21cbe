"""Who asks, and the loaders that refuse.

What must always hold: a customer's actor can load nothing of another account, and cannot tell
"not yours" from "does not exist". Every query for an owned record in services begins here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sqlalchemy import Select, select

from portal.domain.errors import NotAllowed, NotFound
from portal.records import Account, Server, Snapshot, StoreRecord, User
from portal.records.user import Role

if TYPE_CHECKING:
    from portal.work import Work


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, or support's command line. `account_id` is None exactly for support."""

    user_id: int | None
    account_id: int | None

    @classmethod
    def of(cls, user: User) -> Self:
        """The actor that a signed-in user is."""
        return cls(user.id, None if user.role is Role.SUPPORT else user.account_id)

    @classmethod
    def support(cls) -> Self:
        """Support at the command line."""
        return cls(None, None)

    @property
    def is_support(self) -> bool:
        """May see and do everything."""
        return self.account_id is None


def require_support(actor: Actor) -> None:
    """Raise `NotAllowed` for customers."""
    if not actor.is_support:
        raise NotAllowed("Only support can do this.")


def own_accounts(actor: Actor) -> Select[Account]:
    """The accounts that an actor may see."""
    query = select(Account).order_by(Account.name)
    return query if actor.is_support else query.where(Account.id == actor.account_id)


def own_servers(actor: Actor) -> Select[Server]:
    """The servers that an actor may see."""
    query = select(Server).order_by(Server.name, Server.id)
    return query if actor.is_support else query.where(Server.account_id == actor.account_id)


def own_stores(actor: Actor) -> Select[StoreRecord]:
    """The stores that an actor may see."""
    query = select(StoreRecord).order_by(StoreRecord.name, StoreRecord.id)
    return query if actor.is_support else query.where(StoreRecord.account_id == actor.account_id)


def own_snapshots(actor: Actor) -> Select[Snapshot]:
    """The snapshots that an actor may see, newest first."""
    query = select(Snapshot).join(Snapshot.server).order_by(Snapshot.id.desc())
    return query if actor.is_support else query.where(Server.account_id == actor.account_id)


def load_account(work: Work, actor: Actor, account_id: int) -> Account:
    """The account, or `NotFound`."""
    found = work.session.scalar(own_accounts(actor).where(Account.id == account_id))
    if found is None:
        raise NotFound("There is no such account.")
    return found


def load_server(work: Work, actor: Actor, server_id: int) -> Server:
    """The server, or `NotFound`."""
    found = work.session.scalar(own_servers(actor).where(Server.id == server_id))
    if found is None:
        raise NotFound("There is no such server.")
    return found


def load_store(work: Work, actor: Actor, store_id: int) -> StoreRecord:
    """The store, or `NotFound`."""
    found = work.session.scalar(own_stores(actor).where(StoreRecord.id == store_id))
    if found is None:
        raise NotFound("There is no such store.")
    return found


def load_snapshot(work: Work, actor: Actor, snapshot_id: int) -> Snapshot:
    """The snapshot, or `NotFound`."""
    found = work.session.scalar(own_snapshots(actor).where(Snapshot.id == snapshot_id))
    if found is None:
        raise NotFound("There is no such snapshot.")
    return found
