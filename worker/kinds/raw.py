"""Raw: the disk, sector by sector, as one gzip file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import snapcore


def open_plan(disk: snapcore.Disk, *, skip_unused: bool) -> snapcore.Plan:
    """What will be read of the disk."""
    return disk.plan(skip_unused=skip_unused)


def open_stream(plan: snapcore.Plan, *, threads: int) -> snapcore.Stream:
    """The stream of parts."""
    return plan.raw_gzip(threads=threads)
