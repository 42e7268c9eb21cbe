"""The command line: `flask accounts|users|servers|stores|snapshots …` and the programs to run.

What must always hold: commands call the same services as the pages, and know no rule of their own.
They are entry points of the `flask` program (see pyproject.toml), so that they work from any
folder, without naming an application; `register` gives them to an application as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.commands import (
    accounts,
    database,
    doctor,
    reaper,
    servers,
    snapshots,
    stores,
    up,
    users,
    worker,
)

if TYPE_CHECKING:
    from flask import Flask

COMMANDS = (
    accounts.group,
    database.group,
    doctor.command,
    reaper.command,
    servers.group,
    snapshots.group,
    stores.group,
    up.up,
    users.group,
    worker.command,
)


def register(app: Flask) -> None:
    """Give the application all commands."""
    for command in COMMANDS:
        app.cli.add_command(command)
