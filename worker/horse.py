"""The RQ worker of one host: it forks a process for each job.

What must always hold:
- A job's process dies with its worker, so that no orphan writes on.
- Asked to stop (SIGTERM), a worker lets its job hand itself back, and leaves.
- The portal can tell when this host was last seen.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import TYPE_CHECKING, Any

import structlog
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import Queue, Worker
from sqlalchemy.exc import SQLAlchemyError

from portal.queue import ANYWHERE, host_queue
from portal.services import leases

if TYPE_CHECKING:
    from portal.work import Runtime

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_WORKER_TTL = 35
"""RQ sleeps up to this less 15 s between signs of life of an idle worker."""
_OUTAGE_TRIES = 60
"""With waits of up to 5 s: five minutes without Redis before the worker ends and is restarted."""


class HostWorker(Worker):
    """Serves its host's queue, and the work that needs no disk."""

    def __init__(self, runtime: Runtime, host: str) -> None:
        connection = Redis.from_url(
            runtime.settings.redis,
            retry=Retry(ExponentialBackoff(cap=5, base=0.5), _OUTAGE_TRIES),
            health_check_interval=15,
        )
        queues = [Queue(name, connection=connection) for name in (host_queue(host), ANYWHERE)]
        super().__init__(
            queues,
            connection=connection,
            worker_ttl=_WORKER_TTL,
            job_monitoring_interval=15,
            log_job_description=False,
        )
        self._runtime = runtime
        self._host = host

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's sign of life, and the host's."""
        super().heartbeat(timeout, pipeline)
        try:
            with self._runtime.work() as work:
                leases.seen(work, self._host)
                work.commit()
        except SQLAlchemyError as error:
            log.warning("host not marked as seen", error=type(error).__name__)

    def main_work_horse(self, job: Any, queue: Any) -> None:
        """In the forked process: die with the worker, however it dies."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)
        # Connections of the parent are the parent's: this process opens its own.
        self._runtime.engine.dispose(close=False)
        super().main_work_horse(job, queue)

    def handle_warm_shutdown_request(self) -> None:
        """Asked to stop: tell the job, which hands itself back."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            self.kill_horse(signal.SIGTERM)
