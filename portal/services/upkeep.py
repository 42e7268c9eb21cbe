"""What is looked after all the time: dead workers, undecided snapshots, jobs that were not sent.

What must always hold:
- Each is its own transaction, and one that fails does not keep the others from their turn.
- Asking a store may take minutes while it is away: dead workers are noticed in time all the same.
- An outage of the database, of Redis or of a store ends nothing here; it is told when it begins and
  when it is over.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal.domain.errors import SnapportError
from portal.services import leases
from portal.services.settle import settle, undecided

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.work import Runtime, Work

log = structlog.get_logger()


def keep_up(runtime: Runtime, stop: threading.Event) -> None:
    """Look every `reap_seconds` until `stop` is set; outages are logged, not raised."""
    settling = threading.Thread(
        target=_repeat, args=(runtime, stop, {"settle": settle_all}), daemon=True
    )
    settling.start()  # a daemon: a store that does not answer must not hold up the end
    _repeat(runtime, stop, {"reap": reap, "resend": resend})


def reap(runtime: Runtime) -> list[int]:
    """End the jobs of dead workers; their numbers."""
    return _in_work(runtime, leases.reap)


def resend(runtime: Runtime) -> list[int]:
    """Send again the jobs that Redis lost; their numbers."""
    return _in_work(runtime, leases.resend)


def settle_all(runtime: Runtime) -> list[int]:
    """Settle what is undecided; the numbers of the snapshots that turned out complete.

    Every one gets its turn before the last store's error is raised.
    """
    complete, trouble = [], None
    for snapshot_id in _in_work(runtime, undecided):
        try:
            with runtime.work() as work:
                if settle(work, snapshot_id):
                    complete.append(snapshot_id)
                work.commit()
        except SnapportError as error:
            trouble = error
    if trouble is not None:
        raise trouble
    return complete


def _repeat(
    runtime: Runtime, stop: threading.Event, duties: dict[str, Callable[[Runtime], list[int]]]
) -> None:
    failing: set[str] = set()
    while not stop.is_set():
        for name, duty in duties.items():
            try:
                duty(runtime)
            except (SnapportError, SQLAlchemyError) as error:
                if name not in failing:
                    log.warning("upkeep fails", duty=name, reason=" ".join(str(error).split()))
                failing.add(name)
            else:
                if name in failing:
                    log.info("upkeep works again", duty=name)
                failing.discard(name)
        stop.wait(runtime.settings.reap_seconds)


def _in_work(runtime: Runtime, look: Callable[[Work], list[int]]) -> list[int]:
    with runtime.work() as work:
        found = look(work)
        work.commit()
        return found
