"""What may be taken of a server, and what that would cost: for the form and the command.

An estimate comes from what a worker found used on the disks, and from the newest snapshot that was
like it. What is not known is not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain import fitting, preflight
from portal.domain.fitting import LINUX, NTFS
from portal.domain.kinds import FACTS, Kind, KindFacts
from portal.domain.lifecycle import JobKind, JobState, SnapshotState
from portal.records import Job, Server, Snapshot
from portal.records.file import FileRole
from portal.services.inspections import layout_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.domain.layout import Layout
    from portal.work import Work

_LEAST_SECONDS = 1.0
_DISTANT = 0.2
"""A ratio is told only from a snapshot that read at least this part of what would be read now."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes and seconds; None where it is not known.

    `read` is what would be read of the disks. `size` is what the files would weigh, `most` that it
    can be at most where that is not known.
    """

    read: int | None = None
    size: int | None = None
    most: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind, why it does not fit (or None), and what it would cost."""

    kind: Kind
    facts: KindFacts
    reason: str | None
    estimate: Estimate
    notes: tuple[str, ...] = ()
    """Of an export: what the new machine has to be like."""
    warnings: tuple[str, ...] = ()
    """Of an export: what the server lacks for this kind."""


def offers(work: Work, server: Server) -> list[Offer]:
    """One for every kind, in their order."""
    layouts = [layout_of(disk) for disk in server.disks]
    told = tuple(preflight.notes(server.operating_system, layouts))
    found = []
    for kind, facts in FACTS.items():
        reason = reason_against(server, kind)
        found.append(
            Offer(
                kind=kind,
                facts=facts,
                reason=reason,
                estimate=_estimate(work, server, kind, layouts),
                notes=told if facts.export else (),
                warnings=() if reason else tuple(preflight.warnings(kind, layouts)),
            )
        )
    return found


def exports_of(origin: Snapshot) -> list[Offer]:
    """One for every export of a stored raw snapshot; what its disks held is not looked at again.

    Warnings are of the server as a worker saw it last: they name the kernel.
    """
    layouts = [layout_of(disk) for disk in origin.server.disks]
    return [
        Offer(
            kind=kind,
            facts=facts,
            reason=reason_against_export(origin, kind),
            estimate=Estimate(),
            warnings=tuple(preflight.warnings(kind, layouts)),
        )
        for kind, facts in FACTS.items()
        if facts.export
    ]


def reason_against_export(origin: Snapshot, kind: Kind) -> str | None:
    """One sentence why the stored disks cannot become that, or None."""
    sizes = [file.source_size for file in origin.files if file.role is FileRole.IMAGE]
    return preflight.reason_against(kind, sizes, [])


def reason_against(server: Server, kind: Kind) -> str | None:
    """One sentence why the kind does not fit the server, or None."""
    layouts = [layout_of(disk) for disk in server.disks]
    return fitting.reason_against(
        kind, server.operating_system, layouts
    ) or preflight.reason_against(kind, [disk.size for disk in server.disks], layouts)


def _estimate(work: Work, server: Server, kind: Kind, layouts: Sequence[Layout | None]) -> Estimate:
    read = _to_read(kind, layouts)
    if read is None:
        return Estimate()
    alike = _newest(work, kind, Snapshot.server_id == server.id)
    near = alike or _newest(work, None, Server.host_name == server.host_name)
    size = _scaled(alike, read)
    return Estimate(
        read=read,
        size=size,
        most=read if size is None else None,
        seconds=_seconds(near, read),
    )


def _to_read(kind: Kind, layouts: Sequence[Layout | None]) -> int | None:
    """Bytes, without unused space; None where a disk was never looked at."""
    known = [layout for layout in layouts if layout is not None]
    if not layouts or len(known) != len(layouts):
        return None
    if kind not in {Kind.TAR, Kind.NTFSCLONE}:
        return sum(layout.to_read for layout in known)
    parts = [part for layout in known for part in layout.partitions]
    if kind is Kind.TAR:
        return sum(part.used or 0 for part in parts if part.file_system in LINUX)
    return sum((part.used or 0) if part.file_system == NTFS else part.length for part in parts)


def _newest(work: Work, kind: Kind | None, where: object) -> Snapshot | None:
    query = (
        select(Snapshot)
        .join(Server, Snapshot.server_id == Server.id)
        # An export of a stored snapshot did not read the disks.
        .where(Snapshot.state == SnapshotState.DONE, Snapshot.origin_id.is_(None))
        .where(where)  # type: ignore[arg-type]
        .order_by(Snapshot.id.desc())
        .limit(1)
    )
    if kind is not None:
        # A compressed archive tells nothing of the size of one that is not.
        query = query.where(Snapshot.kind == kind, Snapshot.options.not_like('%"gzip":true%'))
    return work.session.scalars(query).one_or_none()


def _job_of(snapshot: Snapshot) -> Job | None:
    done = (
        job
        for job in snapshot.jobs
        if job.kind is JobKind.CAPTURE and job.state is JobState.DONE and job.bytes_done
    )
    return next(done, None)


def _read_by(snapshot: Snapshot, job: Job) -> int:
    """Bytes of the disks that the job read."""
    twice = FACTS[snapshot.kind].read_back and not snapshot.choices.fixed
    return max(1, job.bytes_done // 2 if twice else job.bytes_done)


def _scaled(alike: Snapshot | None, read: int) -> int | None:
    """The size that it would have if it packed as well as the last one."""
    job = _job_of(alike) if alike is not None else None
    if alike is None or job is None or alike.size is None:
        return None
    before = _read_by(alike, job)
    if before < read * _DISTANT:
        return None
    return alike.size * read // before


def _seconds(near: Snapshot | None, read: int) -> float | None:
    job = _job_of(near) if near is not None else None
    if near is None or job is None or job.started_at is None or job.ended_at is None:
        return None
    took = max(_LEAST_SECONDS, (job.ended_at - job.started_at).total_seconds())
    return max(_LEAST_SECONDS, took * read / _read_by(near, job))
