"""Bring a database to the version that this code expects.

What must always hold: of several processes that start together, one migrates and the others wait.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from portal.records.engine import make_engine

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_LOCK = 0x536E6170  # PostgreSQL's advisory locks are numbers: "Snap"


def upgrade(url: str) -> None:
    """Run what steps are missing, in one transaction."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            _lock(connection)
            command.upgrade(_config(connection), "head")
            connection.commit()
    finally:
        engine.dispose()


def pending(engine: Engine) -> bool:
    """Whether the database is not at the version that this code expects."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    return set(current) != set(ScriptDirectory.from_config(_config(None)).get_heads())


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    else:
        # sqlite3 would begin a transaction only at the first change: begin it now, as the writer.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
