"""`flask reaper`: notices dead workers, and sends the jobs that Redis lost.

What must always hold: it survives outages of the database and of Redis with a line in the log when
one begins and one when it ends, and stops within a moment of SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click
import structlog
from sqlalchemy.exc import DBAPIError

from portal.commands import documents
from portal.commands.documents import json_option
from portal.commands.journal import log_to_stderr
from portal.commands.session import PortalCommand, open_runtime
from portal.commands.table import say
from portal.domain.errors import QueueUnavailable
from portal.services import leases

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.work import Runtime, Work

log = structlog.get_logger()


@click.command("reaper", cls=PortalCommand)
@click.option("--once", is_flag=True, help="Look once, say what was found, and end.")
@json_option
def command(*, once: bool, as_json: bool) -> None:
    """End the jobs of dead workers, and send waiting jobs again that Redis lost.

    Runs until SIGTERM or Ctrl-C, looking every SNAPPORT_REAP_SECONDS. One is enough; more do no
    harm.

    \b
    Example:
      flask reaper --once
    """
    with open_runtime() as runtime:
        if once:
            reaped, sent = _commit(runtime, leases.reap), _commit(runtime, leases.resend)
            if as_json:
                documents.emit({"reaped": reaped, "sent": sent})
            else:
                say(f"Jobs ended: {len(reaped)}. Jobs sent again: {len(sent)}.")
            return
        log_to_stderr(runtime.settings)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run(runtime, stop)


def run(runtime: Runtime, stop: threading.Event) -> None:
    """Look again and again until `stop` is set."""
    database, queue = _Outage("database"), _Outage("queue")
    log.info("reaper started", every=runtime.settings.reap_seconds)
    while not stop.is_set():
        try:
            _commit(runtime, leases.reap)
            database.over()
            _commit(runtime, leases.resend)
            queue.over()
        except DBAPIError as error:
            database.began(str(error.orig))
        except QueueUnavailable as error:
            queue.began(error.message)
        stop.wait(runtime.settings.reap_seconds)
    log.info("reaper stopped")


class _Outage:
    """One line in the log when it begins, one when it is over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._now = False

    def began(self, reason: str) -> None:
        if not self._now:
            log.warning("out of reach", what=self._what, reason=" ".join(reason.split()))
        self._now = True

    def over(self) -> None:
        if self._now:
            log.info("back", what=self._what)
        self._now = False


def _commit(runtime: Runtime, look: Callable[[Work], list[int]]) -> list[int]:
    with runtime.work() as work:
        found = look(work)
        work.commit()
        return found
