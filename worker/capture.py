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

from sqlalchemy import delete, select

from portal.domain import names
from portal.domain.index import IndexFile, IndexPart, write_index
from portal.domain.readme import ReadmeFile, write_readme
from portal.records import Disk, FilePart, Part, Snapshot, SnapshotFile
from portal.records.declarative import now
from portal.records.file import FileRole
from portal.services.stores import open_store_of
from worker import kinds
from worker.disks.quiet import Quiet
from worker.disks.trouble import disk_trouble
from worker.frames import unpack_frames
from worker.inspect import note_layout
from worker.kinds.image import Task
from worker.ledger import Ledger
from worker.manifest import Joiner
from worker.proof import read_back
from worker.steps import Step
from worker.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, BinaryIO

    from portal.stores.interface import Store
    from portal.work import Runtime
    from worker.heartbeat import Heartbeat
    from worker.kinds.image import Image, Taking

_SPOOL = 4 * 1024 * 1024
"""snapshot.json stays in memory up to here, and goes to a temporary file beyond."""


def capture(runtime: Runtime, snapshot_id: int, heartbeat: Heartbeat) -> None:
    """Make the snapshot, up to and with its README.txt. Raises; clears nothing up."""
    with runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, snapshot_id)
        store = open_store_of(work, snapshot.store)
    with closing(store), ExitStack() as opened:
        heartbeat.at(Step.OPENING)
        quiet = opened.enter_context(Quiet(heartbeat.stop, on=runtime.settings.watch_disks))
        taking = kinds.prepare(Task(runtime, snapshot, store, heartbeat, opened, quiet))
        heartbeat.expect(sum(_worth(image) for image in taking.images))
        _begin(runtime, snapshot, taking)
        store.ensure_container()
        files = [_copy(runtime, snapshot, store, heartbeat, image) for image in taking.images]
        quiet.confirm()
        heartbeat.at(Step.MANIFEST)
        made = list(zip(files, taking.images, strict=True))
        _join(runtime, snapshot, store, heartbeat, made)
        for file, image in made:
            if image.out_of_order:
                heartbeat.at(Step.PROVING)
                _prove(runtime, store, heartbeat, file, image)
        heartbeat.at(Step.INDEX)
        _write_index(runtime, snapshot, store, files, taking.machine())
        heartbeat.at(Step.README)
        _write_readme(runtime, snapshot, store, made, taking.notes)
        heartbeat.at(Step.FINISHED)


def _worth(image: Image) -> int:
    """Bytes of progress: what is read of the disk, and once more where the file is read back."""
    return image.meter.total * (2 if image.out_of_order else 1)


def _begin(runtime: Runtime, snapshot: Snapshot, taking: Taking) -> None:
    """Forget what an attempt that was handed back had noted; its parts stay known and stored."""
    with runtime.work() as work:
        mine = select(SnapshotFile.id).where(SnapshotFile.snapshot_id == snapshot.id)
        work.session.execute(delete(FilePart).where(FilePart.file_id.in_(mine)))
        work.session.execute(delete(SnapshotFile).where(SnapshotFile.snapshot_id == snapshot.id))
        for disk, plan in zip(snapshot.server.disks, taking.plans, strict=False):
            note_layout(work.session.get_one(Disk, disk.id), plan)
        record = work.session.get_one(Snapshot, snapshot.id)
        record.source = taking.source
        record.sent = record.reused = 0
        work.commit()


def _copy(
    runtime: Runtime, snapshot: Snapshot, store: Store, heartbeat: Heartbeat, image: Image
) -> SnapshotFile:
    file = _record_file(runtime, snapshot, FileRole.IMAGE, image.label, disk=image.disk)
    heartbeat.at(Step.PARTS)
    folder = snapshot.server.folder
    with disk_trouble():
        opened = image.open()
    with (
        closing(opened) as stream,
        Ledger(runtime, store_id=snapshot.store_id, folder=folder) as ledger,
    ):
        upload = Upload(
            stream,
            store=store,
            ledger=ledger,
            heartbeat=heartbeat,
            meter=image.meter,
            folder=folder,
            file_id=file.id,
        )
        summary = upload.run()
    with runtime.work() as work:
        file = work.session.get_one(SnapshotFile, file.id)
        file.size, file.md5, file.sha256 = summary.size, summary.md5, summary.sha256
        file.source_size = summary.source_size if image.source_size is None else image.source_size
        record = work.session.get_one(Snapshot, snapshot.id)
        record.sent += upload.sent
        record.reused += upload.reused
        work.commit()
    return file


def _join(
    runtime: Runtime,
    snapshot: Snapshot,
    store: Store,
    heartbeat: Heartbeat,
    made: list[tuple[SnapshotFile, Image]],
) -> None:
    joiner = Joiner(runtime, store, heartbeat, pool=snapshot.server.folder, folder=snapshot.folder)
    for file, image in made:
        joiner.join(file, size=file.size or 0, content_type=image.content_type)
        _mark_stored(runtime, file)


def _prove(
    runtime: Runtime, store: Store, heartbeat: Heartbeat, file: SnapshotFile, image: Image
) -> None:
    proven = read_back(runtime, store, heartbeat, file, worth=image.meter.total)
    file.md5, file.sha256 = proven.md5, proven.sha256
    with runtime.work() as work:
        record = work.session.get_one(SnapshotFile, file.id)
        record.md5, record.sha256 = proven.md5, proven.sha256
        work.commit()


def _write_index(
    runtime: Runtime,
    snapshot: Snapshot,
    store: Store,
    files: list[SnapshotFile],
    machine: dict[str, Any],
) -> None:
    header: dict[str, Any] = {
        "kind": snapshot.kind.value,
        "operating_system": snapshot.server.operating_system,
        "pool": snapshot.server.folder,
        "server": snapshot.server.name,
        "taken": _iso(snapshot),
        "unused": "left out" if snapshot.choices.skip_unused else "kept",
    }
    if machine:
        header["machine"] = machine
    with SpooledTemporaryFile(max_size=_SPOOL) as spool:
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        size = 0
        for piece in write_index(header, _index_files(runtime, files)):
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
    runtime: Runtime,
    snapshot: Snapshot,
    store: Store,
    made: list[tuple[SnapshotFile, Image]],
    notes: Sequence[str],
) -> None:
    text = write_readme(
        server=snapshot.server.name,
        operating_system=snapshot.server.operating_system,
        kind=snapshot.kind,
        taken=snapshot.started_at or snapshot.requested_at,
        folder=f"{store.container}/{snapshot.folder}",
        options=snapshot.choices,
        files=[
            ReadmeFile(
                name=file.label,
                size=file.size or 0,
                md5=file.md5 or "",
                sha256=file.sha256 or "",
                source_size=file.source_size or 0,
                ranges=image.ranges,
                virtual_size=image.virtual_size,
            )
            for file, image in made
        ],
        notes=notes,
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
