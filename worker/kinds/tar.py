"""Tar: all files of a Linux server, in one archive of GNU tar's, as its own fstab mounts them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from portal.domain import names
from portal.domain.kinds import FACTS, Kind
from worker.extents import ReadMeter
from worker.filesystems.reader import reading_of
from worker.filesystems.scratch import scratch
from worker.filesystems.volumes import check_some, table_of, volumes_of
from worker.kinds.image import Image, Taking
from worker.kinds.plans import open_plans
from worker.kinds.threads import COMPRESSION_THREADS

if TYPE_CHECKING:
    from worker.filesystems.guest import GuestReading
    from worker.filesystems.reading import Reading
    from worker.filesystems.volumes import Volume
    from worker.kinds.image import Task


def prepare(task: Task) -> Taking:
    """Mount everything; one image of it all."""
    plans = open_plans(task, skip_unused=True)
    tables: list[dict[str, Any]] = []
    volumes: list[Volume] = []
    for number, (disk, plan) in enumerate(
        zip(task.snapshot.server.disks, plans, strict=True), start=1
    ):
        tables.append(table_of(disk.address))
        volumes += volumes_of(number, disk.address, plan, tables[-1])
    check_some(volumes)
    folder = task.opened.enter_context(
        scratch(task.runtime.settings, task.snapshot.server.host_name, task.snapshot.id)
    )
    reading = reading_of(task.runtime.settings, volumes, folder, task.heartbeat)
    task.opened.enter_context(reading)
    gzip, exclude = task.options.gzip, task.options.exclude
    facts = FACTS[Kind.TAR]
    image = Image(
        label=names.image_file(
            task.snapshot.server.name, facts.suffix + (".gz" if gzip else ""), disk=1, disks=1
        ),
        content_type="application/gzip" if gzip else facts.content_type,
        disk=0,
        source_size=None,
        meter=ReadMeter([(0, reading.report["used"])]),
        open=partial(reading.archive, exclude, gzip=gzip, threads=COMPRESSION_THREADS),
    )
    return Taking(
        images=[image],
        source=sum(plan.size for plan in plans),
        plans=plans,
        machine=lambda: _machine(tables, reading, exclude),
    )


def _machine(
    tables: list[dict[str, Any]], reading: Reading | GuestReading, exclude: tuple[str, ...]
) -> dict[str, Any]:
    """What a re-image needs beside the files."""
    return {
        "boot": reading.report["boot"],
        "excluded": list(exclude),
        "file_systems": reading.report["mounts"],
        "flags": reading.result["flags"],
        "fstab": reading.report["fstab"],
        "noted": reading.result["counts"],
        "sockets": reading.result["sockets"],
        "subvolumes": reading.result["subvolumes"],
        "tables": tables,
    }
