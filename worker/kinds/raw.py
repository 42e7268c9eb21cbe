"""Raw: each disk, sector by sector, as one gzip file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from portal.domain import names
from portal.domain.kinds import FACTS, Kind
from worker.extents import ReadMeter, data_of
from worker.kinds.image import Image, Taking
from worker.kinds.plans import open_plans
from worker.kinds.threads import COMPRESSION_THREADS

if TYPE_CHECKING:
    from worker.kinds.image import Task


def prepare(task: Task) -> Taking:
    """One image a disk."""
    plans = open_plans(task)
    facts = FACTS[Kind.RAW]
    images = [
        Image(
            label=names.image_file(
                task.snapshot.server.name, facts.suffix, disk=number, disks=len(plans)
            ),
            content_type=facts.content_type,
            disk=number,
            source_size=plan.size,
            meter=ReadMeter(data_of(plan)),
            open=partial(plan.raw_gzip, threads=COMPRESSION_THREADS),
        )
        for number, plan in enumerate(plans, start=1)
    ]
    return Taking(images=images, source=sum(plan.size for plan in plans), plans=plans)
