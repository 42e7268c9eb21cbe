"""Disks that are block devices of the host: logical volumes, partitions, whole drives."""

from __future__ import annotations

from pathlib import Path

import snapcore

from portal.domain.errors import DiskUnavailable
from worker.disks.trouble import disk_trouble


def open_disk(address: str) -> snapcore.Disk:
    """The disk behind this device node."""
    with disk_trouble():
        if not Path(address).is_block_device():
            raise DiskUnavailable("The server's disk is not there (its device is missing).")
        return snapcore.Disk(address)
