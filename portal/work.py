"""A unit of work: one database session, and the jobs to send once it is committed.

What must always hold: a job is sent only after its record is committed, and a record that was
committed but not sent is sent later by the reaper. Services never commit; whoever opened the work
does.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from portal.domain.errors import QueueUnavailable
from portal.queue import JobQueue
from portal.records.declarative import now
from portal.records.engine import make_engine
from portal.records.job import Job
from portal.vault import Vault, open_vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from portal.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Runtime:
    """What a process opens once: settings, database, vault, queue."""

    settings: Settings
    engine: Engine
    vault: Vault
    queue: JobQueue

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open everything; nothing connects before it is used."""
        return cls(
            settings, make_engine(settings.database), open_vault(settings), JobQueue(settings)
        )

    @contextmanager
    def work(self) -> Iterator[Work]:
        """A unit of work; rolled back unless it was committed."""
        with sessionmaker(self.engine, expire_on_commit=False)() as session:
            yield Work(session, self.vault, self.queue, self.settings)

    def close(self) -> None:
        """Let go of connections."""
        self.queue.close()
        self.engine.dispose()


@dataclass
class Work:
    """What a service works with. `queue_down` is set where a job could not be sent at once."""

    session: Session
    vault: Vault
    queue: JobQueue
    settings: Settings
    queue_down: bool = False
    _unsent: list[Job] = field(default_factory=list)

    def send_after_commit(self, job: Job) -> None:
        """Send this job to its queue as soon as it is committed."""
        self._unsent.append(job)

    def commit(self) -> None:
        """Commit, then send what waits to be sent."""
        self.session.commit()
        unsent, self._unsent = self._unsent, []
        for job in unsent:
            try:
                self.queue.send(job.kind, job.id, job.queue)
            except QueueUnavailable as error:
                self.queue_down = True
                log.warning("job not sent; the reaper will", job=job.id, reason=str(error))
                continue
            self.session.execute(update(Job).where(Job.id == job.id).values(enqueued_at=now()))
        if unsent:
            self.session.commit()
