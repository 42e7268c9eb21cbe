"""Looking at a server's disks: partitions, file systems, what is used, what a Linux starts with.

Writes nothing to them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from portal.domain.layout import Layout, Partition
from portal.records import Disk, Server
from portal.records.declarative import now
from worker.disks import open_disk
from worker.disks.quiet import Quiet
from worker.disks.trouble import disk_trouble
from worker.drivers import find_drivers
from worker.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    import snapcore

    from portal.domain.drivers import Drivers
    from portal.work import Runtime
    from worker.heartbeat import Heartbeat


def inspect(runtime: Runtime, server_id: int, heartbeat: Heartbeat) -> None:
    """Note the layout of each disk. Raises `DiskUnavailable`."""
    with runtime.work() as work:
        server = work.session.get_one(Server, server_id)
    plans = []
    for disk in server.disks:
        heartbeat.at(Step.INSPECTING)
        with (
            Quiet(on=runtime.settings.watch_disks) as quiet,
            open_disk(disk.driver, disk.address, quiet) as source,
            disk_trouble(),
        ):
            plans.append(source.plan(skip_unused=True))
        with runtime.work() as work:
            note_layout(work.session.get_one(Disk, disk.id), plans[-1])
            work.commit()
    heartbeat.at(Step.DRIVERS)
    root, found = find_drivers(runtime.settings, server, plans, heartbeat) or (0, None)
    with runtime.work() as work:
        for number, disk in enumerate(server.disks, start=1):
            note_drivers(work.session.get_one(Disk, disk.id), found if number == root else None)
        work.commit()


def note_layout(disk: Disk, plan: snapcore.Plan) -> None:
    """Keep what the plan tells; a plan that was not asked for file systems tells only the size."""
    disk.size = plan.size
    if plan.partition_table is None:
        return
    before = Layout.from_text(disk.layout) if disk.layout else None
    disk.layout = layout_in(plan, before).as_text()
    disk.inspected_at = now()


def layout_in(plan: snapcore.Plan, before: Layout | None) -> Layout:
    """What a plan that was asked for file systems found.

    Of drivers it tells nothing: what was found of them `before` stays.
    """
    return Layout(
        size=plan.size,
        to_read=plan.bytes_to_read,
        table=plan.partition_table or "",
        reason=plan.reason or "",
        partitions=tuple(_partitions(plan)),
        drivers=before.drivers if before else None,
    )


def note_drivers(disk: Disk, found: Drivers | None) -> None:
    """Keep, beside the disk's layout, what the Linux on it starts with; None: not known."""
    if disk.layout:
        disk.layout = replace(Layout.from_text(disk.layout), drivers=found).as_text()


def _partitions(plan: snapcore.Plan) -> Iterator[Partition]:
    """Each partition, and behind an LVM one its logical volumes."""
    for partition in plan.partitions:
        yield Partition(
            number=partition.number,
            start=partition.start,
            length=partition.length,
            file_system=partition.file_system,
            label=partition.label or partition.name,
            used=partition.used_bytes,
            reason=partition.reason or "",
            type_id=partition.type_id,
            bootable=partition.bootable,
        )
        for volume in partition.volumes:
            yield Partition(
                number=partition.number,
                start=partition.start,
                length=volume.length,
                volume=f"{volume.group}/{volume.name}",
                file_system=volume.file_system,
                label=volume.label,
                used=volume.used_bytes,
                reason=volume.reason or "",
            )
