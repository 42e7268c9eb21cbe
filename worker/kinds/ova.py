"""OVA: the machine with all its disks in one file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import snapcore

from portal.domain import names, ovf, preflight
from portal.domain.bus import bus_of
from portal.domain.errors import Unsuitable
from portal.domain.guest_types import guest_type
from portal.domain.kinds import FACTS, Kind
from worker.extents import ReadMeter, data_of
from worker.kinds.exports import GRAIN, digest, layouts_of, plans_of_server
from worker.kinds.image import Image, Taking
from worker.kinds.plans import open_plans
from worker.kinds.threads import COMPRESSION_THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.kinds.image import Task

_FRAME = snapcore.FRAME_SIZE


def prepare(task: Task) -> Taking:
    """One image of all disks."""
    plans = open_plans(task)
    server = task.snapshot.server
    layouts = layouts_of(task, plans)
    bus = bus_of(server.operating_system, layouts)
    most = ovf.most_disks(bus)
    if len(plans) > most:
        raise Unsuitable(
            f"A machine with its disks at {bus.upper()} has room for {most}, and this server has"
            f" {len(plans)}: export it as VMDK instead."
        )
    stem = names.plain_stem(server.name)
    description = ovf.write_ovf(
        ovf.Machine(
            name=server.name,
            guest=guest_type(server.operating_system),
            bus=bus,
            uefi=preflight.boot_mode(layouts) is preflight.Boot.UEFI,
            disks=[
                (f"{stem}-disk{number}.vmdk", -(-plan.size // GRAIN) * GRAIN)
                for number, plan in enumerate(plans, start=1)
            ],
        )
    )
    facts = FACTS[Kind.OVA]
    label = names.image_file(server.name, facts.suffix, disk=1, disks=1)
    cids = [
        int.from_bytes(digest(task.snapshot, f"{label}/{number}")[:4])
        for number in range(1, len(plans) + 1)
    ]
    size = sum(plan.size for plan in plans)
    image = Image(
        label=label,
        content_type=facts.content_type,
        disk=0,
        source_size=size,
        meter=ReadMeter(list(_data(plans))),
        open=partial(
            snapcore.ova,
            list(zip(plans, cids, strict=True)),
            name=stem,
            ovf=description,
            modified=int(task.snapshot.requested_at.timestamp()),
            adapter="ide" if bus is ovf.Bus.IDE else "lsilogic",
            threads=COMPRESSION_THREADS,
        ),
        out_of_order=True,
    )
    return Taking(
        images=[image],
        source=size,
        plans=plans_of_server(task, plans),
        notes=[
            *preflight.notes(server.operating_system, layouts),
            *preflight.warnings(Kind.OVA, layouts),
        ],
    )


def _data(plans: list[snapcore.Plan]) -> Iterator[tuple[int, int]]:
    """What is read, as the stream counts it: each disk begins with a frame."""
    start = 0
    for plan in plans:
        for at, length in data_of(plan):
            yield start + at, length
        start += -(-plan.size // _FRAME) * _FRAME
