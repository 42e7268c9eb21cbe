"""Disks that are files on the host: raw images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import snapcore

from portal.domain.errors import DiskUnavailable
from worker.disks.trouble import disk_trouble

if TYPE_CHECKING:
    from worker.disks.quiet import Quiet


def open_disk(address: str, quiet: Quiet) -> snapcore.Disk:
    """The disk in the file at this path."""
    path = Path(address)
    with disk_trouble():
        if not path.is_file():
            raise DiskUnavailable("The server's disk is not there (its file is missing).")
        return snapcore.Disk(path, point_in_time=quiet.watch(path))
