"""Disks that are block devices of the host: logical volumes, partitions, whole drives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import snapcore

from portal.domain.errors import DiskUnavailable
from worker.disks.trouble import disk_trouble

if TYPE_CHECKING:
    from worker.disks.quiet import Quiet


def open_disk(address: str, _quiet: Quiet) -> snapcore.Disk:
    """The disk behind this device node. Whether anybody writes to one, nobody can tell."""
    with disk_trouble():
        if not Path(address).is_block_device():
            raise DiskUnavailable("The server's disk is not there (its device is missing).")
        return snapcore.Disk(address)
