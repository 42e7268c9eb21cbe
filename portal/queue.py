"""The job queue: RQ carries a job's number to a worker, and that is all it does.

The truth about a job is its record. A number may arrive twice, late or never: claiming is a
conditional update, and the reaper sends again what did not arrive. The only file in the portal
that knows RQ; jobs are named, so that the portal needs nothing of the worker's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import rq
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue

from portal.domain.errors import QueueUnavailable
from portal.domain.lifecycle import JobKind

if TYPE_CHECKING:
    from portal.settings import Settings

ANYWHERE = "any"
"""The queue that every worker serves: work that needs no disk."""

ENTRIES = {
    JobKind.CAPTURE: "worker.jobs.capture",
    JobKind.DELETE: "worker.jobs.delete",
    JobKind.INSPECT: "worker.jobs.inspect",
}


_WAITING = (rq.job.JobStatus.QUEUED, rq.job.JobStatus.STARTED, rq.job.JobStatus.DEFERRED)


def _transport_id(job_id: int) -> str:
    return f"job-{job_id}"


def host_queue(host: str) -> str:
    """The queue of one host's worker."""
    return f"host:{host}"


class JobQueue:
    """Sends job numbers to workers."""

    def __init__(self, settings: Settings) -> None:
        # Short: a page must answer while Redis is gone; the reaper sends later what was not sent.
        self._redis = Redis.from_url(
            settings.redis,
            socket_timeout=5,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 2),
        )

    def send(self, kind: JobKind, job_id: int, queue: str) -> None:
        """Hand a committed job to its queue; `QueueUnavailable` if Redis does not answer."""
        try:
            Queue(queue, connection=self._redis).enqueue(
                ENTRIES[kind],
                job_id,
                job_id=_transport_id(job_id),
                job_timeout=-1,  # our own leases and deadlines; RQ's exception can be swallowed
                result_ttl=0,
                failure_ttl=3600,
                description=f"{kind} job {job_id}",
            )
        except RedisError as error:
            raise QueueUnavailable(
                "The job queue cannot be reached; the job starts by itself when it is back."
            ) from error

    def waits(self, job_id: int) -> bool:
        """Whether Redis holds this job for a worker to take."""
        try:
            job = rq.job.Job.fetch(_transport_id(job_id), connection=self._redis)
            return job.get_status() in _WAITING
        except rq.exceptions.NoSuchJobError:
            return False
        except RedisError as error:
            raise QueueUnavailable("The job queue cannot be reached.") from error

    def reachable(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False

    def close(self) -> None:
        """Let go of connections."""
        self._redis.close()
