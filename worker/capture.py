"""The house in one function: disk → parts → store → manifest → snapshot.json → README.txt.

What must always hold:
- Parts, then manifests, then snapshot.json, then README.txt; each is confirmed by the store before
  the next is begun. A crash anywhere leaves a snapshot without README.txt.
- Every object is recorded before it is stored, so that nothing stored is ever unknown.
- A part that stands is not sent again, whichever snapshot or attempt brought it there.
- No step begins on a lost lease (`Heartbeat.at`).
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, closing
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, cast

import snapcore
from sqlalchemy import delete, select

from portal.domain import names
from portal.domain.index import IndexFile, IndexPart, write_index
from portal.domain.kinds import FACTS
from portal.domain.readme import ReadmeFile, write_readme
from portal.records import Disk, FilePart, Part, Snapshot, SnapshotFile
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.services.stores import open_store_of
from worker.disks import open_disk
from worker.disks.trouble import disk_trouble
from worker.extents import ReadMeter
from worker.frames import unpack_frames
from worker.inspect import note_layout
from worker.kinds import raw
from worker.ledger import Ledger
from worker.manifest import Joiner
from worker.steps import Step
from worker.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    import snapcore

    from portal.stores.interface import Store
    from portal.work import Runtime
    from worker.heartbeat import Heartbeat

COMPRESSION_THREADS = 2
_SPOOL = 4 * 1024 * 1024
"""snapshot.json stays in memory up to here, and goes to a temporary file beyond."""


def capture(runtime: Runtime, snapshot_id: int, heartbeat: Heartbeat) -> None:
    """Make the snapshot, up to and with its README.txt. Raises; clears nothing up."""
    with runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, snapshot_id)
        store = open_store_of(work, snapshot.store)
    with closing(store), ExitStack() as opened:
        heartbeat.at(Step.OPENING)
        plans = _open_disks(snapshot, opened)
        meters = [ReadMeter(_data(plan)) for plan in plans]
        heartbeat.expect(sum(meter.total for meter in meters))
        _begin(runtime, snapshot, plans)
        store.ensure_container()
        images = _copy(runtime, snapshot, store, heartbeat, list(zip(plans, meters, strict=True)))
        heartbeat.at(Step.MANIFEST)
        _join(runtime, snapshot, store, heartbeat, images)
        heartbeat.at(Step.INDEX)
        _write_index(runtime, snapshot, store, images)
        heartbeat.at(Step.README)
        _write_readme(runtime, snapshot, store, images)
        heartbeat.at(Step.FINISHED)


def _open_disks(snapshot: Snapshot, opened: ExitStack) -> list[snapcore.Plan]:
    plans = []
    for disk in snapshot.server.disks:
        source = opened.enter_context(open_disk(disk.driver, disk.address))
        with disk_trouble():
            plans.append(raw.open_plan(source, skip_unused=snapshot.skip_unused))
    return plans


def _data(plan: snapcore.Plan) -> Iterator[tuple[int, int]]:
    for extent in plan.extents:
        if extent.kind == "data":
            yield extent.start, extent.length


def _begin(runtime: Runtime, snapshot: Snapshot, plans: list[snapcore.Plan]) -> None:
    """Forget what an attempt that was handed back had noted; its parts stay known and stored."""
    with runtime.work() as work:
        mine = select(SnapshotFile.id).where(SnapshotFile.snapshot_id == snapshot.id)
        work.session.execute(delete(FilePart).where(FilePart.file_id.in_(mine)))
        work.session.execute(delete(SnapshotFile).where(SnapshotFile.snapshot_id == snapshot.id))
        for disk, plan in zip(snapshot.server.disks, plans, strict=True):
            note_layout(work.session.get_one(Disk, disk.id), plan, complete=snapshot.skip_unused)
        record = work.session.get_one(Snapshot, snapshot.id)
        record.source = sum(plan.size for plan in plans)
        record.sent = record.reused = 0
        work.commit()


def _copy(
    runtime: Runtime,
    snapshot: Snapshot,
    store: Store,
    heartbeat: Heartbeat,
    disks: list[tuple[snapcore.Plan, ReadMeter]],
) -> list[SnapshotFile]:
    images = []
    facts = FACTS[snapshot.kind]
    for number, (plan, meter) in enumerate(disks, start=1):
        label = names.image_file(snapshot.server.name, facts.suffix, disk=number, disks=len(disks))
        file = _record_file(runtime, snapshot, FileRole.IMAGE, label, disk=number)
        heartbeat.at(Step.PARTS)
        with (
            Ledger(runtime, store_id=snapshot.store_id, folder=snapshot.server.folder) as ledger,
            closing(raw.open_stream(plan, threads=COMPRESSION_THREADS)) as stream,
        ):
            upload = Upload(
                stream,
                store=store,
                ledger=ledger,
                heartbeat=heartbeat,
                meter=meter,
                folder=snapshot.server.folder,
                file_id=file.id,
            )
            summary = upload.run()
        with runtime.work() as work:
            file = work.session.get_one(SnapshotFile, file.id)
            file.size, file.md5, file.sha256 = summary.size, summary.md5, summary.sha256
            file.source_size = plan.size
            record = work.session.get_one(Snapshot, snapshot.id)
            record.sent += upload.sent
            record.reused += upload.reused
            work.commit()
        images.append(file)
    return images


def _join(
    runtime: Runtime,
    snapshot: Snapshot,
    store: Store,
    heartbeat: Heartbeat,
    images: list[SnapshotFile],
) -> None:
    joiner = Joiner(runtime, store, heartbeat, pool=snapshot.server.folder, folder=snapshot.folder)
    content_type = FACTS[snapshot.kind].content_type
    for file in images:
        joiner.join(file, size=file.size or 0, content_type=content_type)
        _mark_stored(runtime, file)


def _write_index(
    runtime: Runtime, snapshot: Snapshot, store: Store, images: list[SnapshotFile]
) -> None:
    header = {
        "kind": snapshot.kind.value,
        "operating_system": snapshot.server.operating_system,
        "pool": snapshot.server.folder,
        "server": snapshot.server.name,
        "taken": _iso(snapshot),
        "unused": "left out" if snapshot.skip_unused else "kept",
    }
    with SpooledTemporaryFile(max_size=_SPOOL) as spool:
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        size = 0
        for piece in write_index(header, _index_files(runtime, images)):
            spool.write(piece)
            md5.update(piece)
            sha256.update(piece)
            size += len(piece)
        file = _record_file(
            runtime,
            snapshot,
            FileRole.INDEX,
            names.INDEX,
            size=size,
            md5=md5.hexdigest(),
            sha256=sha256.hexdigest(),
        )
        spool.seek(0)
        store.put_stream(
            file.name,
            cast("BinaryIO", spool),
            size=size,
            md5=md5.hexdigest(),
            content_type="application/json",
        )
    _mark_stored(runtime, file)


def _index_files(
    runtime: Runtime, images: list[SnapshotFile]
) -> Iterator[tuple[IndexFile, Iterable[IndexPart]]]:
    for file in images:
        facts = IndexFile(
            name=file.label,
            size=file.size or 0,
            md5=file.md5 or "",
            sha256=file.sha256 or "",
            disk=file.disk,
            source_size=file.source_size or 0,
        )
        yield facts, _index_parts(runtime, file)


def _index_parts(runtime: Runtime, file: SnapshotFile) -> Iterator[IndexPart]:
    with runtime.work() as work:
        rows = work.session.execute(
            select(FilePart, Part)
            .join(Part, FilePart.part_id == Part.id)
            .where(FilePart.file_id == file.id)
            .order_by(FilePart.position)
            .execution_options(yield_per=500)
        )
        for place, part in rows:
            yield IndexPart(
                sha256=part.sha256,
                md5=part.md5,
                size=part.size,
                offset=place.source_offset,
                length=place.source_length,
                frames=unpack_frames(place.frames),
                zero=place.zero,
            )
            work.session.expunge(place)


def _write_readme(
    runtime: Runtime, snapshot: Snapshot, store: Store, images: list[SnapshotFile]
) -> None:
    text = write_readme(
        server=snapshot.server.name,
        operating_system=snapshot.server.operating_system,
        facts=FACTS[snapshot.kind],
        taken=snapshot.started_at or snapshot.requested_at,
        folder=f"{store.container}/{snapshot.folder}",
        skip_unused=snapshot.skip_unused,
        files=[
            ReadmeFile(
                name=file.label,
                size=file.size or 0,
                md5=file.md5 or "",
                sha256=file.sha256 or "",
                source_size=file.source_size or 0,
            )
            for file in images
        ],
    ).encode()
    md5 = hashlib.md5(text, usedforsecurity=False).hexdigest()
    file = _record_file(
        runtime,
        snapshot,
        FileRole.README,
        names.README,
        size=len(text),
        md5=md5,
        sha256=hashlib.sha256(text).hexdigest(),
    )
    store.put(file.name, text, md5=md5, content_type="text/plain; charset=utf-8")
    _mark_stored(runtime, file)


def _record_file(
    runtime: Runtime,
    snapshot: Snapshot,
    role: FileRole,
    label: str,
    *,
    disk: int = 0,
    size: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
) -> SnapshotFile:
    with runtime.work() as work:
        file = SnapshotFile(
            snapshot_id=snapshot.id,
            role=role,
            name=f"{snapshot.folder}/{label}",
            disk=disk,
            size=size,
            md5=md5,
            sha256=sha256,
        )
        work.session.add(file)
        work.commit()
        return file


def _mark_stored(runtime: Runtime, file: SnapshotFile) -> None:
    with runtime.work() as work:
        work.session.get_one(SnapshotFile, file.id).stored = True
        work.commit()


def _iso(snapshot: Snapshot) -> str:
    return (snapshot.started_at or snapshot.requested_at or now()).strftime("%Y-%m-%dT%H:%M:%SZ")
