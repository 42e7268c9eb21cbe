"""Hosts: the machines that hold disks, and whether their workers live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.records import Host
from portal.services.authority import Actor, require_support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.work import Work


def list_hosts(work: Work, actor: Actor) -> Sequence[Host]:
    """All hosts by name; support only."""
    require_support(actor)
    return work.session.scalars(select(Host).order_by(Host.name)).all()
