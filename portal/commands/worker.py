"""`flask worker`: becomes the worker's own program.

The portal's code never imports the worker's (it stands on snapcore, which the portal does not
need): this process is replaced by `python -m worker`, so that signals reach it directly.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from portal.commands.exits import Exit
from portal.commands.session import Failed, PortalCommand, load_settings
from portal.domain.names import check_name


@click.command("worker", cls=PortalCommand)
@click.option(
    "--host", metavar="NAME", help="The host whose disks it serves [default: SNAPPORT_HOST]."
)
def command(*, host: str | None) -> None:
    """Run the worker of a host, until SIGTERM or Ctrl-C. It runs where the disks are.

    \b
    Example:
      flask worker --host kvm-3
    """
    name = check_name(load_settings().host if host is None else host, what="host", field="host")
    if importlib.util.find_spec("worker") is None:
        raise Failed("The worker is not installed in this environment.", Exit.MISCONFIGURED)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "worker", "--host", name])  # noqa: S606
