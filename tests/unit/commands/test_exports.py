"""`flask snapshots export`, and exports among `flask snapshots kinds`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from portal.domain.kinds import FACTS
from portal.domain.layout import Layout, Partition
from portal.domain.lifecycle import JobState, SnapshotState
from portal.records import Disk, Job, Server, Snapshot, SnapshotFile
from portal.records.file import FileRole

if TYPE_CHECKING:
    from portal.work import Runtime
    from tests.unit.commands.conftest import Commands

TAKE = ("snapshots", "take", "web-1", "--store", "main")
EXPORTS = [kind.value for kind, facts in FACTS.items() if facts.export]


def _raw(flask: Commands, runtime: Runtime, *, size: int = 2**32) -> int:
    """A complete raw snapshot, as the records have it."""
    snapshot_id = int(flask.json(*TAKE)["id"])
    with runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, snapshot_id)
        work.session.add(
            SnapshotFile(
                snapshot_id=snapshot_id,
                role=FileRole.IMAGE,
                name=f"{snapshot.folder}/web-1.raw.gz",
                disk=1,
                size=2**20,
                source_size=size,
                stored=True,
            )
        )
        work.session.execute(update(Snapshot).values(state=SnapshotState.DONE))
        work.session.execute(update(Job).values(state=JobState.DONE))
        work.commit()
    return snapshot_id


@pytest.mark.parametrize("kind", EXPORTS)
def test_exporting_asks_and_says_the_number(
    flask: Commands, runtime: Runtime, customer: str, kind: str
) -> None:
    origin = _raw(flask, runtime)
    export = ("snapshots", "export", str(origin), "--kind", kind)
    assert flask.ok(*export) == f"Snapshot {origin + 1} of “web-1” is queued.\n"
    assert "Another job is active" in flask.refused(4, *export)
    assert "a server can never be re-imaged from it" in flask.ok(
        "snapshots", "show", str(origin + 1)
    )
    made = flask.json("snapshots", "show", str(origin + 1))
    assert (made["kind"], made["state"]) == (kind, "queued")
    with runtime.work() as work:
        snapshot = work.session.get_one(Snapshot, origin + 1)
        assert (snapshot.origin_id, snapshot.choices.skip_unused) == (origin, True)


@pytest.mark.parametrize("kind", EXPORTS)
def test_of_the_servers_disk(flask: Commands, customer: str, kind: str) -> None:
    result = flask(*TAKE, "--kind", kind)
    assert result.exit_code == 0, result.output
    assert "a server can never be re-imaged from it" in result.stderr
    assert flask.json("snapshots", "list")[0]["kind"] == kind


def test_its_choices(flask: Commands, runtime: Runtime, customer: str) -> None:
    origin = _raw(flask, runtime)
    flask.ok("snapshots", "export", str(origin), "--kind", "vhd", "--fixed", "--every-sector")
    with runtime.work() as work:
        choices = work.session.get_one(Snapshot, origin + 1).choices
    assert (choices.skip_unused, choices.fixed) == (False, True)


def test_fixed_is_for_vhd_only(flask: Commands, runtime: Runtime, customer: str) -> None:
    origin = _raw(flask, runtime)
    result = flask("snapshots", "export", str(origin), "--kind", "qcow2", "--fixed")
    assert result.exit_code == 2
    assert "--fixed is for --kind vhd." in result.stderr


@pytest.mark.parametrize(
    ("kind", "size", "reason"),
    [
        ("vhd", 2041 * 2**30, "cannot be a VHD, which ends at 2,040 GiB: use VHDX."),
        ("vhdx", 2**46 + 512, "cannot be a VHDX, which ends at 64 TiB."),
    ],
)
def test_what_a_disk_cannot_become(
    flask: Commands, runtime: Runtime, customer: str, kind: str, size: int, reason: str
) -> None:
    origin = _raw(flask, runtime, size=size)
    said = flask.refused(2, "snapshots", "export", str(origin), "--kind", kind)
    assert said.endswith(reason)
    assert len(flask.json("snapshots", "list")) == 1


def test_only_a_complete_raw_snapshot(flask: Commands, runtime: Runtime, customer: str) -> None:
    snapshot_id = int(flask.json(*TAKE)["id"])
    said = flask.refused(4, "snapshots", "export", str(snapshot_id), "--kind", "vmdk")
    assert said == "Only a raw snapshot that is complete can be exported."
    assert flask.refused(3, "snapshots", "export", "77", "--kind", "vmdk")


def test_with_json_it_prints_the_document(flask: Commands, runtime: Runtime, customer: str) -> None:
    origin = _raw(flask, runtime)
    made = flask.json("snapshots", "export", str(origin), "--kind", "ova")
    assert (made["kind"], made["state"]) == ("ova", "queued")


def _inspected(runtime: Runtime, size: int, to_read: int, *partitions: Partition) -> None:
    layout = Layout(size=size, to_read=to_read, table="gpt", partitions=partitions)
    with runtime.work() as work:
        work.session.execute(update(Disk).values(size=size, layout=layout.as_text()))
        work.commit()


def test_kinds_say_what_the_disk_can_become(
    flask: Commands, runtime: Runtime, customer: str
) -> None:
    """2.3 TiB with 2.1 TiB of data: no VHD, no VMDK, no OVA; and it starts with UEFI."""
    efi = Partition(
        number=1, start=2**20, length=2**29, type_id="c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
    )
    _inspected(runtime, int(2.3 * 2**40), int(2.1 * 2**40), efi)
    result = flask("snapshots", "kinds", "web-1")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    assert "A disk of 2.3 TiB cannot be a VHD, which ends at 2,040 GiB: use VHDX." in rows["vhd"]
    for kind in ("vmdk", "ova"):
        assert "cannot be in a VMDK file, which ends below 2 TiB: use QCOW2 or VHDX." in rows[kind]
    assert rows["vhdx"].endswith("yes")
    assert rows["qcow2"].endswith("yes")
    assert "The new machine's firmware must be UEFI" in result.stderr


def test_kinds_tell_of_the_operating_system(
    flask: Commands, runtime: Runtime, customer: str
) -> None:
    with runtime.work() as work:
        work.session.execute(update(Server).values(operating_system="Windows Server 2008"))
        work.commit()
    said = flask("snapshots", "kinds", "web-1").stderr
    assert "Try IDE first" in said
    assert "IO APIC off on KVM, on in VirtualBox" in said
    notes = {one["kind"]: one["notes"] for one in flask.json("snapshots", "kinds", "web-1")}
    assert notes["raw"] == []
    assert all(notes[kind] for kind in EXPORTS)
