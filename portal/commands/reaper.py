"""`flask reaper`: notices dead workers, settles what they left, sends the jobs that Redis lost."""

from __future__ import annotations

import signal
import threading

import click
import structlog

from portal.commands import documents
from portal.commands.documents import json_option
from portal.commands.session import PortalCommand, open_runtime
from portal.commands.table import say
from portal.logs import set_up_logs
from portal.services import upkeep

log = structlog.get_logger()


@click.command("reaper", cls=PortalCommand)
@click.option("--once", is_flag=True, help="Look once, say what was found, and end.")
@json_option
def command(*, once: bool, as_json: bool) -> None:
    """End the jobs of dead workers, and send waiting jobs again that Redis lost.

    Runs until SIGTERM or Ctrl-C, looking every SNAPPORT_REAP_SECONDS. One is enough; more do no
    harm. It outlives outages of the database, of Redis and of stores.

    \b
    Example:
      flask reaper --once
    """
    with open_runtime() as runtime:
        if once:
            found = {
                "reaped": upkeep.reap(runtime),
                "settled": upkeep.settle_all(runtime),
                "sent": upkeep.resend(runtime),
            }
            if as_json:
                documents.emit(found)
            else:
                say(
                    f"Jobs of dead workers ended: {len(found['reaped'])}."
                    f" Snapshots found complete: {len(found['settled'])}."
                    f" Jobs sent again: {len(found['sent'])}."
                )
            return
        set_up_logs(runtime.settings)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        log.info("reaper started", every_seconds=runtime.settings.reap_seconds)
        upkeep.keep_up(runtime, stop)
        log.info("reaper stopped")
