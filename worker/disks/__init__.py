"""Where bytes come from: one driver a file, chosen by the disk's driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.errors import DiskUnavailable
from worker.disks import block, file

if TYPE_CHECKING:
    from collections.abc import Callable

    import snapcore

    from worker.disks.quiet import Quiet

_DRIVERS: dict[str, Callable[[str, Quiet], snapcore.Disk]] = {
    "file": file.open_disk,
    "block": block.open_disk,
}


def open_disk(driver: str, address: str, quiet: Quiet) -> snapcore.Disk:
    """Open a disk for reading; `DiskUnavailable` with one sentence for the customer.

    `quiet` watches it from now on, where a driver can tell that nobody writes to it.
    """
    if driver not in _DRIVERS:
        raise DiskUnavailable(f"This host cannot read disks of the type “{driver}”.")
    return _DRIVERS[driver](address, quiet)
