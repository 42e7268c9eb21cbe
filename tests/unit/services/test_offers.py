"""What may be taken of a server, and what it would cost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from portal.domain.errors import InvalidInput
from portal.domain.kinds import Kind
from portal.domain.layout import Layout, Partition
from portal.domain.lifecycle import JobState, SnapshotState
from portal.domain.options import Options
from portal.records import Job, Server, Snapshot
from portal.records.declarative import now
from portal.services import offers, snapshots

if TYPE_CHECKING:
    from portal.services.offers import Offer
    from portal.work import Runtime
    from tests.unit.services.conftest import Customer

GIB = 1024**3
LINUX = Layout(
    size=40 * GIB,
    to_read=9 * GIB,
    table="gpt",
    partitions=(
        Partition(number=1, start=0, length=GIB, file_system="FAT"),
        Partition(number=2, start=GIB, length=30 * GIB, file_system="ext4", used=6 * GIB),
        Partition(number=3, start=31 * GIB, length=4 * GIB, file_system="LVM"),
        Partition(
            number=3, start=31 * GIB, length=4 * GIB, file_system="XFS", used=2 * GIB, volume="a/b"
        ),
        Partition(number=4, start=35 * GIB, length=5 * GIB, file_system="swap", used=4096),
    ),
)
WINDOWS = Layout(
    size=60 * GIB,
    to_read=22 * GIB,
    table="mbr",
    partitions=(
        Partition(number=1, start=0, length=GIB, file_system="FAT"),
        Partition(number=2, start=GIB, length=59 * GIB, file_system="NTFS", used=20 * GIB),
    ),
)


def look(runtime: Runtime, customer: Customer, system: str, layout: Layout | None) -> None:
    """What a worker noted of the server's disk."""
    with runtime.work() as work:
        server = work.session.get_one(Server, customer.server.id)
        server.operating_system = system
        server.disks[0].layout = layout.as_text() if layout else ""
        server.disks[0].size = layout.size if layout else None
        work.commit()


def of(runtime: Runtime, customer: Customer) -> dict[Kind, Offer]:
    with runtime.work() as work:
        server = work.session.get_one(Server, customer.server.id)
        return {offer.kind: offer for offer in offers.offers(work, server)}


def taken(
    runtime: Runtime,
    customer: Customer,
    kind: Kind,
    *,
    read: int,
    size: int,
    seconds: float,
    options: Options | None = None,
) -> None:
    """A snapshot that was taken before."""
    with runtime.work() as work:
        snapshot = snapshots.take(
            work,
            customer.actor,
            work.session.get_one(Server, customer.server.id),
            customer.store,
            kind.value,
            options=options or Options(),
        )
        job = work.session.scalars(select(Job).where(Job.snapshot_id == snapshot.id)).one()
        job.state, job.bytes_done = JobState.DONE, read
        job.ended_at = now()
        job.started_at = job.ended_at - timedelta(seconds=seconds)
        record = work.session.get_one(Snapshot, snapshot.id)
        record.state, record.size = SnapshotState.DONE, size
        work.commit()


def test_what_fits_is_offered_and_the_rest_has_its_reason(runtime: Runtime, ours: Customer) -> None:
    for system, layout, refused in (
        ("Debian 12", LINUX, {Kind.NTFSCLONE}),
        ("Windows Server 2022", WINDOWS, {Kind.TAR}),
        ("", LINUX, {Kind.NTFSCLONE}),
        ("", WINDOWS, {Kind.TAR}),
        ("", None, set()),
    ):
        look(runtime, ours, system, layout)
        found = of(runtime, ours)
        assert {kind for kind, offer in found.items() if offer.reason} == refused, system


def test_nothing_is_guessed_of_disks_that_nobody_has_seen(runtime: Runtime, ours: Customer) -> None:
    look(runtime, ours, "Debian 12", None)
    taken(runtime, ours, Kind.RAW, read=GIB, size=GIB // 2, seconds=10)
    assert {offer.estimate for offer in of(runtime, ours).values()} == {offers.Estimate()}


def test_an_estimate_counts_what_the_kind_reads(runtime: Runtime, ours: Customer) -> None:
    look(runtime, ours, "Debian 12", LINUX)
    found = of(runtime, ours)
    assert found[Kind.RAW].estimate == offers.Estimate(read=9 * GIB, most=9 * GIB)
    # The files of ext4 and XFS, inside a logical volume too.
    assert found[Kind.TAR].estimate == offers.Estimate(read=8 * GIB, most=8 * GIB)
    look(runtime, ours, "Windows Server 2022", WINDOWS)
    assert of(runtime, ours)[Kind.NTFSCLONE].estimate.read == 21 * GIB


def test_past_snapshots_tell_size_and_time(runtime: Runtime, ours: Customer) -> None:
    look(runtime, ours, "Debian 12", LINUX)
    taken(runtime, ours, Kind.RAW, read=3 * GIB, size=GIB, seconds=30)
    found = of(runtime, ours)
    assert found[Kind.RAW].estimate.size == 3 * GIB
    assert found[Kind.RAW].estimate.seconds == pytest.approx(90, rel=0.01)
    # Of another kind the speed alone tells something.
    assert found[Kind.TAR].estimate.size is None
    assert found[Kind.TAR].estimate.most == 8 * GIB
    assert found[Kind.TAR].estimate.seconds == pytest.approx(80, rel=0.01)


def test_a_small_one_tells_no_size_of_a_large_one(runtime: Runtime, ours: Customer) -> None:
    look(runtime, ours, "Debian 12", LINUX)
    taken(runtime, ours, Kind.RAW, read=GIB, size=4096, seconds=30)
    assert of(runtime, ours)[Kind.RAW].estimate.size is None


def test_a_compressed_archive_tells_no_size_of_a_plain_one(
    runtime: Runtime, ours: Customer
) -> None:
    look(runtime, ours, "Debian 12", LINUX)
    taken(runtime, ours, Kind.TAR, read=8 * GIB, size=7 * GIB, seconds=80)
    gzip = Options(gzip=True)
    taken(runtime, ours, Kind.TAR, read=8 * GIB, size=3 * GIB, seconds=80, options=gzip)
    assert of(runtime, ours)[Kind.TAR].estimate.size == 7 * GIB


def test_what_was_read_back_counts_once(runtime: Runtime, ours: Customer) -> None:
    """Progress of a QCOW2 counts the disk, and the file once more."""
    look(runtime, ours, "Debian 12", LINUX)
    taken(runtime, ours, Kind.QCOW2, read=2 * 9 * GIB, size=4 * GIB, seconds=60)
    estimate = of(runtime, ours)[Kind.QCOW2].estimate
    assert estimate.size == 4 * GIB
    assert estimate.seconds == pytest.approx(60, rel=0.01)
    taken(
        runtime, ours, Kind.VHD, read=9 * GIB, size=9 * GIB, seconds=30, options=Options(fixed=True)
    )
    assert of(runtime, ours)[Kind.VHD].estimate.size == 9 * GIB


def test_an_export_of_a_stored_snapshot_tells_nothing_of_the_disks(
    runtime: Runtime, ours: Customer
) -> None:
    look(runtime, ours, "Debian 12", LINUX)
    taken(runtime, ours, Kind.VMDK, read=20 * GIB, size=4 * GIB, seconds=60)
    with runtime.work() as work:
        snapshot = work.session.scalars(select(Snapshot)).one()
        snapshot.origin_id = snapshot.id
        work.commit()
    assert of(runtime, ours)[Kind.VMDK].estimate == offers.Estimate(read=9 * GIB, most=9 * GIB)


def test_what_does_not_fit_cannot_be_taken(runtime: Runtime, ours: Customer) -> None:
    look(runtime, ours, "Debian 12", LINUX)
    with (
        runtime.work() as work,
        pytest.raises(InvalidInput, match="Take a raw snapshot instead") as refused,
    ):
        snapshots.take(work, ours.actor, ours.server, ours.store, "ntfsclone")
    assert refused.value.field == "kind"
