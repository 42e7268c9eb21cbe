"""`flask up`: the whole of Snapport on this machine, in the foreground."""

from __future__ import annotations

import sys
import time

import click

from portal.domain.errors import SnapportError
from portal.settings import Settings


@click.command("up")
@click.option("--services-only", is_flag=True, help="Only Redis and Swift, without the portal.")
@click.option("--no-demo", is_flag=True, help="Without the demonstration's account and servers.")
def up(*, services_only: bool, no_demo: bool) -> None:
    """Run Redis, Swift, a worker and the portal until Ctrl-C."""
    try:
        from portal.embedded.supervisor import Supervisor
    except ImportError as error:
        click.echo(f"The embedded stack is not installed ({error}): run `make build`.", err=True)
        sys.exit(1)
    try:
        Supervisor(Settings(), _say).run(services_only=services_only, demonstration=not no_demo)
    except SnapportError as error:
        click.echo(error.message, err=True)
        sys.exit(1)


def _say(who: str, what: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {who:<9} {what}")
