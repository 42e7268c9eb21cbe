"""A job: one run of work on a server, with the lease of the worker that does it.

What must always hold:
- At most one job that writes is active for a server: the partial unique index says so.
- Only the holder of the current `fence` may renew, report or end a running job.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.domain.lifecycle import JobKind, JobState
from portal.records.declarative import Id, Record, now, stored_enum
from portal.records.snapshot import Snapshot

_ACTIVE_WRITER = text("writes AND state IN ('queued', 'running')")


class Job(Record):
    """A job. `queue` is where it waits; bytes are of the source, `bytes_sent` of the wire.

    `rate` is the source bytes a second, smoothed. `enqueued_at` is None until Redis has it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "uq_jobs_active_writer",
            "server_id",
            unique=True,
            sqlite_where=_ACTIVE_WRITER,
            postgresql_where=_ACTIVE_WRITER,
        ),
        Index("ix_jobs_state", "state"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, init=False)
    kind: Mapped[JobKind] = mapped_column(stored_enum(JobKind))
    state: Mapped[JobState] = mapped_column(stored_enum(JobState))
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("snapshots.id"), index=True)
    queue: Mapped[str] = mapped_column(String(120))
    writes: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default_factory=now)
    enqueued_at: Mapped[datetime | None] = mapped_column(default=None)
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    worker: Mapped[str] = mapped_column(String(255), default="")
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(default=None)
    step: Mapped[str] = mapped_column(String(100), default="")
    bytes_done: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_total: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_sent: Mapped[int] = mapped_column(BigInteger, default=0)
    rate: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[str | None] = mapped_column(Text, default=None)
    snapshot: Mapped[Snapshot | None] = relationship(init=False, repr=False, back_populates="jobs")
