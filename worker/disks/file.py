"""Disks that are files on the host: raw images."""

from __future__ import annotations

from pathlib import Path

import snapcore

from portal.domain.errors import DiskUnavailable
from worker.disks.trouble import disk_trouble


def open_disk(address: str) -> snapcore.Disk:
    """The disk in the file at this path."""
    with disk_trouble():
        if not Path(address).is_file():
            raise DiskUnavailable("The server's disk is not there (its file is missing).")
        return snapcore.Disk(address)
