"""Where commands log: `DATA/log/commands.log`, so that the standard output stays the answer's.

Long-running commands (`flask reaper`) log to the standard error instead: see `portal.logs`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from pathlib import Path

    from portal.settings import Settings

_KEPT = 4 * 1024**2
"""A log larger than this is set aside as `commands.log.1`."""


class _Journal:
    """The file that is open now."""

    path: Path | None = None
    file: TextIO | None = None


def journal_path() -> Path | None:
    """The file that this command logs to; None where there is none."""
    return _Journal.path


def open_journal(settings: Settings) -> None:
    """Log to the data folder; where that cannot be written, keep silent."""
    folder = settings.data / "log"
    path = folder / "commands.log"
    if _Journal.path == path:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _KEPT:
            path.replace(path.with_name("commands.log.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file: TextIO = os.fdopen(os.open(path, flags, 0o600), "a", buffering=1)
        _Journal.path = path
    except OSError:
        file = open(os.devnull, "w")  # noqa: SIM115, PTH123 - it lives as long as the process
        _Journal.path = None
    if _Journal.file is not None:
        _Journal.file.close()
    _Journal.file = file
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file),
        cache_logger_on_first_use=False,
    )
