"""What is looked after all the time: dead workers, undecided snapshots, jobs that were not sent.

Each is its own transaction, and one that fails does not keep the others from their turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal.domain.errors import SnapportError
from portal.services import leases
from portal.services.settle import settle

if TYPE_CHECKING:
    from portal.work import Runtime

log = structlog.get_logger()


def keep_up(runtime: Runtime) -> None:
    """One round; logs what fails and never raises for the database, the store or the queue."""
    for duty in (leases.reap, settle, leases.resend):
        try:
            with runtime.work() as work:
                duty(work)
                work.commit()
        except (SnapportError, SQLAlchemyError) as error:
            log.warning("upkeep failed", duty=duty.__name__, reason=type(error).__name__)
