"""ntfsclone: the used clusters of each NTFS volume, in the format that ntfsclone restores.

What must always hold: the files together hold all of the disk but what is free in its NTFS volumes.
- `NAME-pN.img.gz`: an NTFS volume, as `ntfsclone --save-image` would write it.
- `NAME-pN.raw.gz`: any other partition (EFI, LVM…), sector by sector.
- `NAME.xmbr`: the first track with the partition table and boot loader, the boot records of logical
  partitions, the second GPT; `machine` says which bytes of the disk it holds.
A volume that is not in good order is refused: the customer is told to take raw.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from portal.domain import names
from portal.domain.errors import Unsuitable
from portal.domain.kinds import FACTS, Kind
from worker.extents import ReadMeter, data_of, within
from worker.kinds.image import Image, Taking
from worker.kinds.plans import open_plans
from worker.kinds.threads import COMPRESSION_THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import snapcore

    from worker.kinds.image import Task

_TRACK_MOST = 16 * 1024 * 1024
"""Bytes of the first track: boot loaders keep within the first MiB or two."""
_RECORD_ROOM = 1024 * 1024
"""Where the boot record of a logical partition stands, and the second GPT: within this distance."""
_FIRST_LOGICAL = 5


def prepare(task: Task) -> Taking:
    """The images of every disk."""
    plans = open_plans(task, skip_unused=True)
    server = task.snapshot.server.name
    images: list[Image] = []
    tables: list[dict[str, Any]] = []
    for number, plan in enumerate(plans, start=1):
        name = partial(names.image_file, server, disk=number, disks=len(plans))
        ranges = _table(plan)
        if ranges:
            images.append(_xmbr(plan, ranges, label=name(".xmbr"), disk=number))
            tables.append({"disk": number, "ranges": ranges})
        images += [
            _volume(plan, volume, label=name(f"-p{volume.number}{_suffix(volume)}"), disk=number)
            for volume in _volumes(plan)
        ]
    if not any(image.label.endswith(FACTS[Kind.NTFSCLONE].suffix) for image in images):
        raise Unsuitable(
            "There is no NTFS volume on this server's disks, so there is nothing for ntfsclone:"
            " take a raw snapshot instead."
        )
    return Taking(
        images=images,
        source=sum(plan.size for plan in plans),
        plans=plans,
        machine=lambda: {"xmbr": tables},
    )


def _volumes(plan: snapcore.Plan) -> list[snapcore.Partition]:
    """All partitions; refuses an NTFS volume that is not in good order."""
    if plan.reason:
        raise Unsuitable(f"{plan.reason} Take a raw snapshot instead.")
    for volume in plan.partitions:
        if volume.file_system == "NTFS" and volume.reason:
            raise Unsuitable(
                f"Partition {volume.number} cannot be taken by ntfsclone. {volume.reason}"
                " Take a raw snapshot instead."
            )
    return plan.partitions


def _suffix(volume: snapcore.Partition) -> str:
    facts = FACTS[Kind.NTFSCLONE if volume.file_system == "NTFS" else Kind.RAW]
    return facts.suffix


def _volume(plan: snapcore.Plan, volume: snapcore.Partition, *, label: str, disk: int) -> Image:
    meter = ReadMeter(within(data_of(plan), volume.start, volume.length))
    if volume.file_system == "NTFS":
        opened = partial(plan.ntfsclone, partition=volume.number, threads=COMPRESSION_THREADS)
        # Its parts count in bytes of the image, which has little but what is read of the disk.
        meter = ReadMeter([(0, meter.total)])
        source_size = None
    else:
        ranges = [(volume.start, volume.length)]
        opened = partial(plan.pieces, ranges, gzip=True, threads=COMPRESSION_THREADS)
        source_size = volume.length
    return Image(
        label=label,
        content_type="application/gzip",
        disk=disk,
        source_size=source_size,
        meter=meter,
        open=opened,
    )


def _xmbr(plan: snapcore.Plan, ranges: list[tuple[int, int]], *, label: str, disk: int) -> Image:
    size = sum(length for _start, length in ranges)
    return Image(
        label=label,
        content_type="application/octet-stream",
        disk=disk,
        source_size=size,
        meter=ReadMeter([(0, size)]),
        open=partial(plan.pieces, ranges, gzip=False, threads=1),
        ranges=ranges,
    )


def _table(plan: snapcore.Plan) -> list[tuple[int, int]]:
    """The (start, length) of what a partition table needs to be put back, in the disk's order."""
    return list(_joined(sorted(_table_ranges(plan))))


def _table_ranges(plan: snapcore.Plan) -> Iterator[tuple[int, int]]:
    """May touch or overlap."""
    entries = sorted(plan.partitions, key=lambda entry: entry.start)
    if plan.partition_table == "none" or not entries:
        return
    yield 0, min(entries[0].start, _TRACK_MOST)
    end = 0
    for entry in entries:
        if entry.number >= _FIRST_LOGICAL and plan.partition_table == "mbr":
            start = max(end, entry.start - _RECORD_ROOM)
            yield start, entry.start - start
        end = max(end, entry.start + entry.length)
    if plan.partition_table == "gpt":
        start = max(min(end, plan.size), plan.size - _RECORD_ROOM)
        yield start, plan.size - start


def _joined(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same bytes, each once; nothing empty."""
    begin = end = 0
    for start, length in ranges:
        if start > end:
            if end > begin:
                yield begin, end - begin
            begin, end = start, start
        end = max(end, start + length)
    if end > begin:
        yield begin, end - begin
