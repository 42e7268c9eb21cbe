"""Exports: each disk as an image file for other virtualisation.

What must always hold: what stands in a file beside the disk's bytes (numbers, names, times) depends
on the snapshot alone, so that a job that is run again makes the same parts.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from portal.domain import names, preflight
from portal.domain.kinds import FACTS, Kind
from portal.services.inspections import layout_of
from worker.extents import ReadMeter, data_of
from worker.inspect import layout_in
from worker.kinds.image import Image, PartStream, Taking
from worker.kinds.plans import open_plans
from worker.kinds.threads import COMPRESSION_THREADS

if TYPE_CHECKING:
    from collections.abc import Callable

    import snapcore

    from portal.domain.layout import Layout
    from portal.records import Snapshot
    from worker.kinds.image import Task

_VHD_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
GRAIN = 64 * 1024
"""A VMDK's disk is rounded up to this, in bytes."""
_AZURE = 1024 * 1024
_SECTOR = 512


def vmdk(task: Task) -> Taking:
    """VMDK, streamOptimized."""

    def open_stream(plan: snapcore.Plan, label: str) -> PartStream:
        cid = int.from_bytes(digest(task.snapshot, label)[:4])
        return plan.vmdk(name=label, cid=cid, threads=COMPRESSION_THREADS)

    return _images(task, open_stream, grain=GRAIN)


def vhd(task: Task) -> Taking:
    """VHD: dynamic, or fixed as Azure wants it."""
    fixed = task.options.fixed
    asked = task.snapshot.requested_at - _VHD_EPOCH

    def open_stream(plan: snapcore.Plan, label: str) -> PartStream:
        return plan.vhd(
            unique_id=digest(task.snapshot, label)[:16],
            created=int(asked.total_seconds()),
            fixed=fixed,
            threads=COMPRESSION_THREADS,
        )

    return _images(task, open_stream, grain=_AZURE if fixed else _SECTOR, out_of_order=not fixed)


def vhdx(task: Task) -> Taking:
    """VHDX, dynamic."""

    def open_stream(plan: snapcore.Plan, label: str) -> PartStream:
        unique_id = digest(task.snapshot, label)[:16]
        return plan.vhdx(unique_id=unique_id, threads=COMPRESSION_THREADS)

    return _images(task, open_stream, grain=_SECTOR, out_of_order=True)


def qcow2(task: Task) -> Taking:
    """qcow2, compressed."""

    def open_stream(plan: snapcore.Plan, label: str) -> PartStream:  # noqa: ARG001
        return plan.qcow2(threads=COMPRESSION_THREADS)

    return _images(task, open_stream, grain=_SECTOR, out_of_order=True)


def _images(
    task: Task,
    open_stream: Callable[[snapcore.Plan, str], PartStream],
    *,
    grain: int,
    out_of_order: bool = False,
) -> Taking:
    """One image a disk; the new machine sees its size rounded up to `grain` bytes."""
    plans = open_plans(task)
    facts = FACTS[Kind(task.snapshot.kind)]
    images = []
    for number, plan in enumerate(plans, start=1):
        label = names.image_file(
            task.snapshot.server.name, facts.suffix, disk=number, disks=len(plans)
        )
        images.append(
            Image(
                label=label,
                content_type=facts.content_type,
                disk=number,
                source_size=plan.size,
                meter=ReadMeter(data_of(plan)),
                open=partial(open_stream, plan, label),
                out_of_order=out_of_order,
                virtual_size=-(-plan.size // grain) * grain,
            )
        )
    layouts = layouts_of(task, plans)
    return Taking(
        images=images,
        source=sum(plan.size for plan in plans),
        plans=plans_of_server(task, plans),
        notes=[
            *preflight.notes(task.snapshot.server.operating_system, layouts),
            *preflight.warnings(task.snapshot.kind, layouts),
        ],
    )


def plans_of_server(task: Task, plans: list[snapcore.Plan]) -> list[snapcore.Plan]:
    """Those to be noted: a stored snapshot tells nothing of what is on the server's disks now."""
    return plans if task.snapshot.origin_id is None else []


def layouts_of(task: Task, plans: list[snapcore.Plan]) -> list[Layout | None]:
    """Of each disk: as it was looked at just now, else as it was when somebody last did."""
    known = [layout_of(disk) for disk in task.snapshot.server.disks]
    known += [None] * (len(plans) - len(known))
    return [
        layout_in(plan, before) if plan.partition_table is not None else before
        for plan, before in zip(plans, known, strict=False)
    ]


def digest(snapshot: Snapshot, label: str) -> bytes:
    """32 bytes that tell this file from every other, the same each time it is made."""
    return hashlib.sha256(f"{snapshot.folder}/{label}".encode()).digest()
