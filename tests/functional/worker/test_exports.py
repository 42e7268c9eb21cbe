"""Exports: of a server's disk, and of a stored raw snapshot, into the real Swift and out again."""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from portal.domain.errors import Conflict, InvalidInput
from portal.domain.kinds import Kind
from portal.domain.lifecycle import SnapshotState
from portal.domain.names import part_name
from portal.domain.options import Options
from portal.queue import ANYWHERE
from portal.records import FilePart, Part, Server, Snapshot, SnapshotFile
from portal.records.file import FileRole
from portal.services import snapshots
from portal.services.authority import load_snapshot
from tests.functional.worker.house import DEFAULTS, MIB
from tests.functional.worker.test_inspect import make_ext4
from tests.interop.images import compare, run
from worker.heartbeat import Heartbeat
from worker.steps import Step

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.worker.house import House

FORMATS = {
    Kind.VMDK: "vmdk",
    Kind.VHD: "vpc",
    Kind.VHDX: "vhdx",
    Kind.QCOW2: "qcow2",
    Kind.OVA: "vmdk",
}
"""As qemu-img calls them; of an OVA the disk in it."""


def ask_export(house: House, origin: Snapshot, kind: str, options: Options = DEFAULTS) -> Snapshot:
    with house.runtime.work() as work:
        loaded = load_snapshot(work, house.actor, origin.id)
        taken = snapshots.export(work, house.actor, loaded, kind, options=options)
        work.commit()
        return taken


def export(house: House, origin: Snapshot, kind: str, options: Options = DEFAULTS) -> Snapshot:
    taken = ask_export(house, origin, kind, options)
    house.run()
    return house.look(taken)


def check(house: House, taken: Snapshot, folder: Path, disk: Path) -> Path:
    """The download is what was said, and the disk to qemu-img."""
    label = f"web-1.{taken.kind}"
    image = folder / label
    content = house.download(taken, label)
    image.write_bytes(content)
    with house.runtime.work() as work:
        file = work.session.scalars(
            select(SnapshotFile).where(
                SnapshotFile.snapshot_id == taken.id, SnapshotFile.role == FileRole.IMAGE
            )
        ).one()
    assert (file.size, taken.size) == (len(content), len(content))
    assert file.md5 == hashlib.md5(content).hexdigest()
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    readme = house.download(taken, "README.txt").decode()
    assert file.sha256 in readme
    assert "can never be re-imaged" in readme.replace("\n", " ")
    compare(disk_in(image), FORMATS[taken.kind], disk)
    return image


def disk_in(image: Path) -> Path:
    """The file that qemu-img reads."""
    if image.suffix != ".ova":
        return image
    run("tar", "--extract", "--file", image, "--directory", image.parent, "web-1-disk1.vmdk")
    return image.parent / "web-1-disk1.vmdk"


@pytest.mark.parametrize("kind", FORMATS)
def test_of_a_servers_disk(house: House, tmp_path: Path, kind: Kind) -> None:
    taken = house.done(kind)
    check(house, taken, tmp_path, house.disk)
    again = house.done(kind)
    # The same data; what tells the file from others is another.
    assert again.reused > 0


@pytest.mark.parametrize("kind", FORMATS)
def test_of_a_stored_snapshot(sqlite_house: House, tmp_path: Path, kind: Kind) -> None:
    """The server's disk is gone meanwhile: nobody asks for it."""
    origin = sqlite_house.done(options=Options(skip_unused=False))
    disk = tmp_path / "before.raw"
    sqlite_house.disk.rename(disk)
    taken = export(sqlite_house, origin, kind)
    assert (taken.state, taken.error) == (SnapshotState.DONE, None)
    assert taken.origin_id == origin.id
    assert sqlite_house.job_of(taken).queue == ANYWHERE
    check(sqlite_house, taken, tmp_path, disk)


def test_unused_space_of_a_stored_snapshot_is_left_out(sqlite_house: House, tmp_path: Path) -> None:
    make_ext4(sqlite_house.disk, tmp_path / "files")
    origin = sqlite_house.done(options=Options(skip_unused=False))
    smart = export(sqlite_house, origin, "vmdk")
    plain = export(sqlite_house, origin, "vmdk", Options(skip_unused=False))
    assert smart.size is not None
    assert plain.size is not None
    check(sqlite_house, plain, tmp_path, sqlite_house.disk)
    assert smart.size < plain.size // 2


def test_fixed_for_azure(sqlite_house: House, tmp_path: Path) -> None:
    taken = sqlite_house.done("vhd", Options(fixed=True))
    image = check(sqlite_house, taken, tmp_path, sqlite_house.disk)
    mib = 1024 * 1024
    assert (image.stat().st_size - 512) % mib == 0
    assert "zeros added at its end" in sqlite_house.download(taken, "README.txt").decode()


def test_a_damaged_part_fails_the_export(sqlite_house: House) -> None:
    origin = sqlite_house.done(options=Options(skip_unused=False))
    with sqlite_house.runtime.work() as work:
        part = work.session.scalars(
            select(Part).join(FilePart).where(~FilePart.zero).order_by(FilePart.position.desc())
        ).all()[0]
    other = bytes(part.size)
    with closing(sqlite_house.open()) as store:
        store.put(
            part_name(sqlite_house.server.folder, part.sha256),
            other,
            md5=hashlib.md5(other).hexdigest(),
            content_type="application/octet-stream",
        )
    taken = export(sqlite_house, origin, "vmdk")
    assert taken.state is SnapshotState.FAILED
    assert taken.error == "A part of the snapshot in the store is damaged."


def test_the_origin_stays_while_it_is_exported_and_may_go_afterwards(
    sqlite_house: House, tmp_path: Path
) -> None:
    origin = sqlite_house.done(options=Options(skip_unused=False))
    taken = ask_export(sqlite_house, origin, "vmdk")
    with pytest.raises(Conflict):
        sqlite_house.ask_delete(origin)
    sqlite_house.run()
    sqlite_house.ask_delete(origin)
    sqlite_house.run()
    assert sqlite_house.look(origin).state is SnapshotState.GONE
    check(sqlite_house, sqlite_house.look(taken), tmp_path, sqlite_house.disk)


def test_an_ova_of_several_disks(sqlite_house: House, tmp_path: Path) -> None:
    """Of the server, and of a stored snapshot of it: all disks in one file."""
    second = sqlite_house.add_disk(3 * MIB + 512)
    taken = sqlite_house.done("ova")
    origin = sqlite_house.done(options=Options(skip_unused=False))
    of_stored = export(sqlite_house, origin, "ova")
    assert of_stored.error is None
    for number, one in enumerate((taken, of_stored)):
        folder = tmp_path / str(number)
        folder.mkdir()
        image = check(sqlite_house, one, folder, sqlite_house.disk)
        run("tar", "--extract", "--file", image, "--directory", folder)
        compare(folder / "web-1-disk2.vmdk", "vmdk", second)
        assert "holds all disks" in sqlite_house.download(one, "README.txt").decode()


def test_what_the_machine_has_to_be_like_stands_in_the_readme(sqlite_house: House) -> None:
    with sqlite_house.runtime.work() as work:
        work.session.get_one(Server, sqlite_house.server.id).operating_system = "Windows 2008"
        work.commit()
    run("sfdisk", "--quiet", sqlite_house.disk, text="label: gpt\n2048,4096,U\n8192,4096\n")
    taken = sqlite_house.done("ova")
    readme = " ".join(sqlite_house.download(taken, "README.txt").decode().split())
    assert "firmware must be UEFI" in readme
    assert "Try IDE first" in readme
    assert "IO APIC off on KVM, on in VirtualBox" in readme
    assert "VBoxManage import 'web-1.ova'" in readme
    description = sqlite_house.download(taken, "web-1.ova")
    assert b'vmw:key="firmware" vmw:value="efi"' in description
    assert b"<rasd:ResourceSubType>PIIX4</rasd:ResourceSubType>" in description


def test_what_cannot_be_exported(sqlite_house: House) -> None:
    export_ = sqlite_house.done("vmdk")
    with pytest.raises(Conflict, match="Only a raw snapshot"):
        ask_export(sqlite_house, export_, "vhd")
    origin = sqlite_house.done()
    with pytest.raises(InvalidInput, match="“raw” is no export"):
        ask_export(sqlite_house, origin, "raw")


@pytest.mark.parametrize("step", [Step.PARTS, Step.PROVING])
def test_a_cancelled_export_leaves_nothing(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    """While it is made, and while the file is read back."""
    taken = sqlite_house.take("vhd")
    begun = Heartbeat.at

    def cancel_there(heartbeat: Heartbeat, now: Step) -> None:
        begun(heartbeat, now)
        if now is step:
            sqlite_house.cancel(taken)
            # The next word of the worker brings it.
            time.sleep(2.5)

    monkeypatch.setattr(Heartbeat, "at", cancel_there)
    sqlite_house.run()
    assert sqlite_house.look(taken).state is SnapshotState.CANCELLED
    assert sqlite_house.objects() == set()


@pytest.mark.parametrize("point", ["mid-part 1", "after the parts", "after the manifest"])
def test_a_killed_export_is_broken_and_can_go(sqlite_house: House, point: str) -> None:
    sqlite_house.take("vhd")
    assert sqlite_house.kill_at(point) == -9
