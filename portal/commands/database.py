"""`flask database`: the database's version."""

from __future__ import annotations

import click

from portal.commands import documents
from portal.commands.documents import json_option
from portal.commands.exits import Exit
from portal.commands.session import Failed, PortalGroup, load_settings, open_runtime
from portal.commands.table import say


@click.group("database", cls=PortalGroup)
def group() -> None:
    """The database: upgrade, check."""


@group.command("upgrade")
def upgrade() -> None:
    """Bring the database to the version that this code expects; harmless to repeat.

    Several at once are safe: one works, the others wait.

    \b
    Example:
      flask database upgrade
    """
    from portal.records import migrate

    migrate.upgrade(load_settings().database)
    say("The database is up to date.")


@group.command("check")
@json_option
def check(*, as_json: bool) -> None:
    """Say whether the database is at the version that this code expects; exit code 7 if not.

    \b
    Example:
      flask database check
    """
    from portal.records import migrate

    with open_runtime() as runtime:
        pending = migrate.pending(runtime.engine)
    if as_json:
        documents.emit({"pending": pending})
    if pending:
        raise Failed(
            "The database is not at this version: run “flask database upgrade”.",
            Exit.MISCONFIGURED,
        )
    if not as_json:
        say("The database is up to date.")
