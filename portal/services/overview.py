"""Looking at servers: the list with its last snapshots, and whether a job would start at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import selectinload

from portal.domain.lifecycle import SnapshotState
from portal.records import Account, Host, Server, Snapshot
from portal.records.declarative import now
from portal.services.authority import Actor, own_servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.work import Work

SERVERS_PAGE = 50
HOST_AWAY_AFTER = timedelta(seconds=60)
"""A worker shows life every few seconds; a minute of silence is told to people."""


@dataclass(frozen=True, slots=True)
class ServerLine:
    """A server with its newest snapshot, if it has any."""

    server: Server
    latest: Snapshot | None


@dataclass(frozen=True, slots=True)
class ServerPage:
    """One page of the list; `number` counts from 1."""

    lines: Sequence[ServerLine]
    total: int
    number: int
    last: int


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a job would start at once: its host's worker lives, the queue answers."""

    host: str
    host_seen_at: datetime | None
    host_here: bool
    queue_up: bool


def servers(work: Work, actor: Actor, *, text: str = "", number: int = 1) -> ServerPage:
    """The actor's servers by name, a page at a time; `text` narrows by name or account."""
    query = own_servers(actor)
    if text:
        by_name = Server.name.icontains(text, autoescape=True)
        if actor.is_support:
            owner = select(Account.id).where(Account.name.icontains(text, autoescape=True))
            query = query.where(or_(by_name, Server.account_id.in_(owner)))
        else:
            query = query.where(by_name)
    total = work.session.scalar(select(func.count()).select_from(query.order_by(None).subquery()))
    last = max(1, -(-(total or 0) // SERVERS_PAGE))
    number = min(max(number, 1), last)
    found = work.session.scalars(
        query.options(selectinload(Server.disks))
        .offset((number - 1) * SERVERS_PAGE)
        .limit(SERVERS_PAGE)
    ).all()
    latest = _latest(work, [server.id for server in found])
    lines = [ServerLine(server, latest.get(server.id)) for server in found]
    return ServerPage(lines, total or 0, number, last)


def readiness(work: Work, server: Server) -> Readiness:
    """What stands between a job for this server and its start."""
    host = work.session.get(Host, server.host_name)
    seen_at = host.seen_at if host else None
    here = seen_at is not None and now() - seen_at < HOST_AWAY_AFTER
    return Readiness(server.host_name, seen_at, here, work.queue.reachable())


def check_database(work: Work) -> None:
    """Raise SQLAlchemy's error unless the database answers."""
    work.session.execute(select(1))


def _latest(work: Work, server_ids: Sequence[int]) -> dict[int, Snapshot]:
    newest = (
        select(func.max(Snapshot.id))
        .where(Snapshot.server_id.in_(server_ids), Snapshot.state != SnapshotState.GONE)
        .group_by(Snapshot.server_id)
    )
    found = work.session.scalars(select(Snapshot).where(Snapshot.id.in_(newest)))
    return {snapshot.server_id: snapshot for snapshot in found}
