"""Folders for what lives no longer than a job: `DATA/scratch/HOST/NAME`.

What must always hold: a worker that starts clears what jobs of its host left behind, whatever ended
them, and nothing else. A running job holds a lock on its folder, which goes with its process.
Mounts and loop devices go with the processes that made them; here are only files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portal.settings import Settings

log = structlog.get_logger()


@contextmanager
def scratch(settings: Settings, host: str, name: int | str) -> Iterator[Path]:
    """A new, empty folder, for root's eyes only; gone afterwards. `name`: the snapshot's number."""
    folder = _folder_of(settings, host) / str(name)
    _clear(folder)
    while True:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            break
        os.close(lock)  # a worker that started just now took it for a leftover
    try:
        yield folder
    finally:
        _clear(folder)
        os.close(lock)


def clear_leftovers(settings: Settings, host: str) -> None:
    """Remove what ended jobs of this host left; another worker's running job is let be."""
    parent = _folder_of(settings, host)
    for folder in sorted(parent.iterdir()) if parent.exists() else ():
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            log.info("an ended job's scratch folder cleared", folder=folder.name)
            _clear(folder)
        finally:
            os.close(lock)


def _folder_of(settings: Settings, host: str) -> Path:
    return settings.data.resolve() / "scratch" / quote(host, safe="")


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
