"""`flask up`: the whole of Snapport on this machine, in the foreground."""

from __future__ import annotations

import time

import click

from portal.commands.exits import Exit
from portal.commands.session import Failed, PortalCommand, load_settings


@click.command("up", cls=PortalCommand)
@click.option("--services-only", is_flag=True, help="Only Redis and Swift, without the portal.")
@click.option("--no-demo", is_flag=True, help="Without the demonstration's account and servers.")
def up(*, services_only: bool, no_demo: bool) -> None:
    """Run Redis, Swift, a worker and the portal until Ctrl-C.

    \b
    Example:
      SNAPPORT_PORT=9000 flask up
    """
    try:
        from portal.embedded.supervisor import Supervisor
    except ImportError as error:
        raise Failed(
            f"The embedded stack is not installed ({error}): run “make build”.", Exit.MISCONFIGURED
        ) from error
    supervisor = Supervisor(load_settings(), _say)
    supervisor.run(services_only=services_only, demonstration=not no_demo)


def _say(who: str, what: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {who:<9} {what}")
