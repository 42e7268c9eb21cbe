"""The database engine, with what SQLite needs to be as careful as PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection


def make_engine(url: str) -> Engine:
    """An engine for a SQLite or PostgreSQL URL; makes SQLite's folder if it is not there."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    # No pool: a connection is a file handle, and one must never cross a fork.
    engine = create_engine(address, connect_args={"timeout": 30}, poolclass=NullPool)
    event.listen(engine, "connect", _sqlite_pragmas)
    return engine


def _sqlite_pragmas(connection: DBAPIConnection, _record: Any) -> None:
    cursor = connection.cursor()
    # WAL lets pages read while a worker writes; FULL keeps a commit through a power failure.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
