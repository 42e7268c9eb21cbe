"""Folders for what lives no longer than a job: `DATA/scratch/HOST/NAME`.

What must always hold: a worker that starts clears what jobs of its host left behind, whatever ended
them, and nothing else. A running job holds a lock on its folder, which goes with its process. What
was mounted goes with its process too; here are only files, and loop devices not mounted yet.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
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
    folder.mkdir(parents=True, mode=0o700)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)
        _clear(folder)


def clear_leftovers(settings: Settings, host: str) -> None:
    """Remove what ended jobs of this host left; another worker's running job is let be."""
    parent = _folder_of(settings, host)
    for folder in sorted(parent.iterdir()) if parent.exists() else ():
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
        log.info("an ended job's scratch folder cleared", folder=folder.name)
        _clear(folder)


def _folder_of(settings: Settings, host: str) -> Path:
    return settings.data.resolve() / "scratch" / quote(host, safe="")


def _clear(folder: Path) -> None:
    _detach_loops(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _detach_loops(folder: Path) -> None:
    """Free the loop devices over files of this folder; those in use clear with their last user."""
    if not folder.exists():
        return
    told = subprocess.run(
        ["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for loop in json.loads(told or "{}").get("loopdevices", []):
        if str(loop.get("back-file") or "").startswith(f"{folder}/"):
            subprocess.run(["losetup", "--detach", loop["name"]], check=False)  # noqa: S603, S607
