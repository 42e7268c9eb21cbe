"""Looking at a server's disks: partitions, file systems, what is used. Writes nothing to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.layout import Layout, Partition
from portal.records import Disk, Server
from portal.records.declarative import now
from worker.disks import open_disk
from worker.disks.trouble import disk_trouble
from worker.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    import snapcore

    from portal.work import Runtime
    from worker.heartbeat import Heartbeat


def inspect(runtime: Runtime, server_id: int, heartbeat: Heartbeat) -> None:
    """Note the layout of each disk. Raises `DiskUnavailable`."""
    with runtime.work() as work:
        server = work.session.get_one(Server, server_id)
    for disk in server.disks:
        heartbeat.at(Step.INSPECTING)
        with open_disk(disk.driver, disk.address) as source, disk_trouble():
            plan = source.plan(skip_unused=True)
        with runtime.work() as work:
            note_layout(work.session.get_one(Disk, disk.id), plan)
            work.commit()


def note_layout(disk: Disk, plan: snapcore.Plan) -> None:
    """Keep what the plan tells; a plan that was not asked for file systems tells only the size."""
    disk.size = plan.size
    if plan.partition_table is None:
        return
    disk.layout = layout_in(plan).as_text()
    disk.inspected_at = now()


def layout_in(plan: snapcore.Plan) -> Layout:
    """What a plan that was asked for file systems found."""
    return Layout(
        size=plan.size,
        to_read=plan.bytes_to_read,
        table=plan.partition_table or "",
        reason=plan.reason or "",
        partitions=tuple(_partitions(plan)),
    )


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
