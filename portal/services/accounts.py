"""Accounts: the customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.errors import Conflict, NotFound
from portal.domain.names import check_name
from portal.records import Account
from portal.services.authority import Actor, own_accounts, require_support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.work import Work


def add(work: Work, actor: Actor, name: str) -> Account:
    """Add a customer."""
    require_support(actor)
    name = check_name(name, what="account")
    if work.session.scalar(select(Account.id).where(Account.name == name)) is not None:
        raise Conflict(f"There is already an account named “{name}”.")
    account = Account(name=name)
    work.session.add(account)
    work.session.flush()
    return account


def list_accounts(work: Work, actor: Actor) -> Sequence[Account]:
    """All accounts that the actor may see, by name."""
    return work.session.scalars(own_accounts(actor)).all()


def find(work: Work, actor: Actor, name: str) -> Account:
    """The account of this name, or else of this number, or `NotFound`."""
    found = work.session.scalar(own_accounts(actor).where(Account.name == name))
    if found is None and name.isdecimal() and len(name) < 19:
        found = work.session.scalar(own_accounts(actor).where(Account.id == int(name)))
    if found is None:
        raise NotFound(f"There is no account “{name}”.")
    return found
