"""Servers and their disks. Support adds them; customers see their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.errors import Conflict, InvalidInput, NotFound
from portal.domain.names import check_name, folder_of
from portal.records import Account, Disk, Host, Server
from portal.services.authority import Actor, own_servers, require_support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.work import Work

DISK_DRIVERS = ("file", "block")


def add(
    work: Work,
    actor: Actor,
    *,
    account: Account,
    name: str,
    operating_system: str,
    host: str,
    disks: Sequence[tuple[str, str]],
) -> Server:
    """Add a server; `disks` are (driver, address) in order. The worker checks that they exist."""
    require_support(actor)
    name = check_name(name, what="server")
    host = check_name(host, what="host", field="host")
    if len(host) > 100:
        raise InvalidInput("The host's name is longer than 100 characters.", field="host")
    if not disks:
        raise InvalidInput("A server has at least one disk.", field="disk")
    for driver, address in disks:
        if driver not in DISK_DRIVERS:
            raise InvalidInput(
                f"“{driver}” is no disk driver; there are {', '.join(DISK_DRIVERS)}.", field="disk"
            )
        if not address.startswith("/") or "\0" in address:
            raise InvalidInput(f"A {driver} disk needs an absolute path.", field="disk")
    if _taken(work, account, name):
        raise Conflict(f"The account already has a server named “{name}”.")
    if work.session.get(Host, host) is None:
        work.session.add(Host(name=host))
    server = Server(
        account_id=account.id,
        name=name,
        folder=folder_of(name),
        operating_system=operating_system.strip()[:100],
        host_name=host,
        disks=[
            Disk(position=position, driver=driver, address=address)
            for position, (driver, address) in enumerate(disks, start=1)
        ],
    )
    work.session.add(server)
    work.session.flush()
    work.session.refresh(server)
    return server


def _taken(work: Work, account: Account, name: str) -> bool:
    return (
        work.session.scalar(
            select(Server.id).where(Server.account_id == account.id, Server.name == name)
        )
        is not None
    )


def list_servers(work: Work, actor: Actor) -> Sequence[Server]:
    """The actor's servers, by name."""
    return work.session.scalars(own_servers(actor)).all()


def find(work: Work, actor: Actor, name: str) -> Server:
    """The server of this name or number; `Conflict` where several accounts have one so named."""
    query = own_servers(actor)
    found = work.session.scalars(query.where(Server.name == name)).all()
    if not found and name.isdecimal() and len(name) < 19:
        found = work.session.scalars(query.where(Server.id == int(name))).all()
    if not found:
        raise NotFound(f"There is no server “{name}”.")
    if len(found) > 1:
        numbers = ", ".join(str(server.id) for server in found)
        raise Conflict(f"Several servers are named “{name}”: give one's number ({numbers}).")
    return found[0]
