"""Inspections: what a server's disks hold, asked of the worker that has them.

What must always hold: the portal never touches a disk; it reads what the worker noted last. An
inspection only reads, so it may run beside a snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from portal.domain.layout import Layout
from portal.domain.lifecycle import ACTIVE_JOBS, JobKind, JobState
from portal.queue import host_queue
from portal.records import Job

if TYPE_CHECKING:
    from portal.records import Disk, Server
    from portal.services.authority import Actor
    from portal.work import Work

log = structlog.get_logger()


def ask(work: Work, actor: Actor, server: Server) -> Job:
    """Ask for an inspection; the one that is under way, if one is."""
    latest = latest_job(work, server)
    if latest is not None and latest.state in ACTIVE_JOBS:
        return latest
    job = Job(
        kind=JobKind.INSPECT,
        state=JobState.QUEUED,
        server_id=server.id,
        snapshot_id=None,
        queue=host_queue(server.host_name),
        writes=False,
    )
    work.session.add(job)
    work.session.flush()
    work.send_after_commit(job)
    log.info("inspection asked for", server=server.id, actor=actor.user_id)
    return job


def latest_job(work: Work, server: Server) -> Job | None:
    """The newest inspection of this server; its state and error tell how it went."""
    return work.session.scalar(
        select(Job)
        .where(Job.server_id == server.id, Job.kind == JobKind.INSPECT)
        .order_by(Job.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


def layout_of(disk: Disk) -> Layout | None:
    """What the disk held when a worker last looked; None before."""
    return Layout.from_text(disk.layout) if disk.layout else None
