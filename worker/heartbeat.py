"""The signs of life of a running job, on a thread of its own.

What must always hold:
- The lease is renewed every `beat` seconds while the job lives, and with it the page is told how
  far it is; a job whose lease was not renewed in time counts itself lost, and touches nothing more.
- A cancel, a lost lease or a request to stop reaches the job within a beat: `check` raises, and
  `on_stop` is called so that whatever waits wakes up.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal.domain.errors import JobCancelled, JobInterrupted, LeaseLost, SnapportError
from portal.services import leases

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from portal.services.leases import Lease
    from portal.work import Runtime
    from worker.steps import Step

log = structlog.get_logger()

_SMOOTHING = 0.25
"""Weight of the newest second in the rate: a quarter forgets a stutter in some four seconds."""


class Heartbeat:
    """Use as a context manager around the job's work."""

    def __init__(self, runtime: Runtime, lease: Lease) -> None:
        self._runtime = runtime
        self._lease = lease
        self._beat = min(1.0, runtime.settings.lease_seconds / 5)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._step = ""
        self._done = self._total = self._sent = 0
        self._rate = 0.0
        self._stop: SnapportError | None = None
        self._deaf = False
        self._renewed = time.monotonic()
        self._on_stop: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Beat no more."""
        self._ended.set()
        self._thread.join()

    def at(self, step: Step) -> None:
        """Tell that a step begins; raises if the job is to stop, and renews the lease first.

        Renewing here, not only on the thread, means that no step begins on a lease already lost.
        """
        with self._lock:
            self._step = step
        self._renew(time.monotonic())
        self.check()

    def expect(self, total: int) -> None:
        """How many bytes there are to read."""
        with self._lock:
            self._total = total

    def count(self, *, done: int = 0, sent: int = 0) -> None:
        """Bytes that were read and stored; bytes that went over the wire."""
        with self._lock:
            self._done += done
            self._sent += sent

    def stop(self, reason: SnapportError) -> None:
        """Make `check` raise this; the first reason stays, but a lost lease outranks all."""
        with self._lock:
            if self._stop is not None and not isinstance(reason, LeaseLost):
                return
            self._stop = reason
            wake = self._on_stop
        if wake is not None:
            wake()

    def interrupt(self) -> None:
        """The worker is asked to stop."""
        self.stop(JobInterrupted("The worker was asked to stop; another goes on with this job."))

    def when_stopped(self, wake: Callable[[], None] | None) -> None:
        """Call this when the job is to stop (at once if it already is)."""
        with self._lock:
            self._on_stop = wake
            stopped = self._stop is not None
        if stopped and wake is not None:
            wake()

    def clear_up(self, step: Step) -> None:
        """From here on only a lost lease stops the job: it is putting things in order."""
        with self._lock:
            self._deaf = True
            self._on_stop = None
            if not isinstance(self._stop, LeaseLost):
                self._stop = None
        self.at(step)

    def check(self) -> None:
        """Raise if the job is to stop."""
        if self._stop is not None:
            raise self._stop

    def _run(self) -> None:
        last = time.monotonic()
        counted = 0
        while not self._ended.wait(self._beat):
            at = time.monotonic()
            with self._lock:
                fresh = (self._done - counted) / max(at - last, 1e-3)
                self._rate = (
                    fresh if not self._rate else self._rate + _SMOOTHING * (fresh - self._rate)
                )
                counted, last = self._done, at
            self._renew(at)

    def _renew(self, at: float) -> None:
        with self._lock:
            report = leases.Report(self._step, self._done, self._total, self._sent, self._rate)
        try:
            with self._runtime.work() as work:
                cancelled = leases.renew(work, self._lease, report)
                work.commit()
        except LeaseLost as lost:
            self.stop(lost)
            return
        except SQLAlchemyError as error:
            log.warning("lease not renewed", job=self._lease.job_id, error=type(error).__name__)
            if at - self._renewed > self._runtime.settings.lease_seconds:
                self.stop(LeaseLost("The database could not be reached for too long."))
            return
        self._renewed = at
        if cancelled and not self._deaf:
            self.stop(JobCancelled("The snapshot was cancelled."))
