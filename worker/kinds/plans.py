"""The disks of a server, opened and planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.disks import open_disk
from worker.disks.trouble import disk_trouble
from worker.stored import open_stored

if TYPE_CHECKING:
    import snapcore

    from worker.kinds.image import Task


def open_plans(task: Task, *, skip_unused: bool | None = None) -> list[snapcore.Plan]:
    """A plan for each disk, in their order: the server's, or those of the snapshot exported.

    `skip_unused` is what was chosen unless it is given. Raises `DiskUnavailable`.
    """
    skip = task.options.skip_unused if skip_unused is None else skip_unused
    if task.snapshot.origin_id is not None:
        return [disk.plan(skip_unused=skip) for disk in open_stored(task)]
    plans = []
    for disk in task.snapshot.server.disks:
        source = task.opened.enter_context(open_disk(disk.driver, disk.address, task.quiet))
        with disk_trouble():
            plans.append(source.plan(skip_unused=skip))
    return plans
