"""The disks of a server, opened and planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.disks import open_disk
from worker.disks.trouble import disk_trouble

if TYPE_CHECKING:
    import snapcore

    from worker.kinds.image import Task


def open_plans(task: Task) -> list[snapcore.Plan]:
    """A plan for each disk of the server, in their order. Raises `DiskUnavailable`."""
    plans = []
    for disk in task.snapshot.server.disks:
        source = task.opened.enter_context(open_disk(disk.driver, disk.address))
        with disk_trouble():
            plans.append(source.plan(skip_unused=task.options.skip_unused))
    return plans
