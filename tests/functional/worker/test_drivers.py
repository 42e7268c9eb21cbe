"""An inspection finds what a Linux server starts with, and never fails for not finding it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portal.domain.drivers import NAMES, Drivers
from portal.domain.kinds import Kind
from portal.domain.lifecycle import JobState
from portal.domain.preflight import warnings
from portal.records import Job, Server
from portal.services import inspections
from portal.settings import CHECKOUT
from tests.disks import kernels, linux
from tests.disks.linux import MIB
from tests.functional.worker.archives import nothing_left
from tests.functional.worker.house import make_house
from worker.filesystems.scratch import clear_leftovers
from worker.jobs import run_inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.domain.layout import Layout
    from tests.conftest import SwiftEndpoint
    from tests.functional.worker.house import House

BUILT_IN = ["drivers/nvme/host/nvme.ko"]
EARLY = ["drivers/scsi/sd_mod.ko", "drivers/ata/ahci.ko.xz"]
LATER = ["drivers/message/fusion/mptspi.ko"]
FSTAB = "UUID={root} / ext4 errors=remount-ro 0 1\n"


def asked(house: House) -> int:
    """The number of an inspection's job, which waits."""
    with house.runtime.work() as work:
        job = inspections.ask(work, house.actor, house.server)
        work.commit()
        return job.id


def look(house: House) -> tuple[Job, list[Layout | None]]:
    """Ask, run the job here, and what it noted of each disk."""
    number = asked(house)
    run_inspect(house.runtime, number)
    with house.runtime.work() as work:
        job = inspections.latest_job(work, house.server)
        assert job is not None
        server = work.session.get_one(Server, house.server.id)
        return job, [inspections.layout_of(disk) for disk in server.disks]


def found(house: House) -> Drivers | None:
    """What it noted of a server with one disk, whose inspection must succeed."""
    job, [layout] = look(house)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert layout is not None
    assert layout.partitions
    nothing_left(house.disk)
    return layout.drivers


def server_disk(disk: Path, folder: Path, fstab: str = FSTAB, **options: object) -> None:
    """One ext4 with a small system and a kernel."""
    image = kernels.initramfs(folder, EARLY, packer="zstd")
    [(start, length)] = linux.partitioned(disk, 256 * MIB, "label: dos\n2048,,83,*\n")
    with linux.loop(disk, start, length) as device:
        uuid = linux.make_file_system("ext4", device)
        with linux.mounted(device, folder / "root") as root:
            linux.make_tree(root, fstab.format(root=uuid))
            kernels.install(
                root, built_in=BUILT_IN, on_disk=EARLY + LATER, **{"image": image, **options}
            )


def test_what_it_starts_with_is_noted_and_warned_of(house: House, tmp_path: Path) -> None:
    server_disk(house.disk, tmp_path)
    before = hashlib.sha256(house.disk.read_bytes()).hexdigest()
    drivers = found(house)
    assert drivers is not None
    assert (drivers.kernel, drivers.initramfs) == (
        "6.1.0-18-amd64",
        "initrd.img-6.1.0-18-amd64",
    )
    assert (drivers.early, drivers.later) == (("ahci", "nvme", "sd_mod"), ("mptspi",))
    assert hashlib.sha256(house.disk.read_bytes()).hexdigest() == before
    _, layouts = look(house)
    assert "attach the disk as SATA or NVMe instead" in warnings(Kind.VMDK, layouts)[0]


def test_a_snapshot_keeps_what_was_found(sqlite_house: House, tmp_path: Path) -> None:
    server_disk(sqlite_house.disk, tmp_path)
    drivers = found(sqlite_house)
    assert drivers is not None
    sqlite_house.done()
    with sqlite_house.runtime.work() as work:
        [disk] = work.session.get_one(Server, sqlite_house.server.id).disks
        layout = inspections.layout_of(disk)
    assert layout is not None
    assert layout.drivers == drivers


def test_exports_go_by_it(sqlite_house: House, tmp_path: Path) -> None:
    """An OVA names a bus that the server starts from; other READMEs say what is missing."""
    server_disk(sqlite_house.disk, tmp_path)
    machine = sqlite_house.download(sqlite_house.done("ova"), "web-1.ova")
    assert b"<rasd:ResourceSubType>lsilogic" in machine
    assert found(sqlite_house) is not None
    taken = sqlite_house.done("ova")
    machine = sqlite_house.download(taken, "web-1.ova")
    assert b"<rasd:ResourceSubType>vmware.sata.ahci" in machine
    assert "start-up files" not in sqlite_house.download(taken, "README.txt").decode()
    readme = sqlite_house.download(sqlite_house.done("vmdk"), "README.txt").decode()
    told = "hold no driver for VMware's LSI Logic SCSI controller: attach the disk as SATA"
    assert told in " ".join(readme.split())


def test_a_boot_partition_on_another_file_system(sqlite_house: House, tmp_path: Path) -> None:
    """/boot is ext2 and of its own; the server's other mounts need not be there for this."""
    disk = sqlite_house.disk
    boot, root = linux.partitioned(disk, 500 * MIB, "label: gpt\n2048,65536\n67584,800000\n")
    with linux.loop(disk, *boot) as device:
        linux.make_file_system("ext2", device, label="boot")
    with linux.loop(disk, *root) as device:
        linux.make_file_system("xfs", device)
        with linux.mounted(device, tmp_path / "root") as at:
            linux.make_tree(
                at,
                "/dev/vda2 / xfs defaults 0 1\n"
                "LABEL=boot /boot ext2 defaults 0 2\n"
                "UUID=not-here /srv ext4 defaults 0 2\n",
            )
            (at / "boot").mkdir()
            with (
                linux.loop(disk, *boot) as boot_device,
                linux.mounted(boot_device, at / "boot"),
            ):
                image = kernels.initramfs(tmp_path, EARLY)
                kernels.install(at, built_in=BUILT_IN, on_disk=EARLY + LATER, image=image)
    drivers = found(sqlite_house)
    assert drivers is not None
    assert drivers.early == ("ahci", "nvme", "sd_mod")


def test_a_server_that_runs(sqlite_house: House, tmp_path: Path) -> None:
    """Its journal is replayed on an overlay; an initramfs just written is there."""
    running = tmp_path / "running.raw"
    server_disk(running, tmp_path, image=None)
    with (
        linux.loop(running, MIB, 255 * MIB) as device,
        linux.mounted(device, tmp_path / "root") as at,
    ):
        with (at / f"boot/initrd.img-{kernels.VERSION}").open("wb") as file:
            file.write(kernels.initramfs(tmp_path, EARLY))
            file.flush()
            os.fsync(file.fileno())
        linux.copy_of_running(running, sqlite_house.disk)
    assert "needs_recovery" in linux.run("dumpe2fs", "-h", f"{sqlite_house.disk}?offset={MIB}")
    before = hashlib.sha256(sqlite_house.disk.read_bytes()).hexdigest()
    drivers = found(sqlite_house)
    assert drivers is not None
    assert "ahci" in drivers.early
    assert hashlib.sha256(sqlite_house.disk.read_bytes()).hexdigest() == before


@pytest.mark.parametrize(
    ("fstab", "target"),
    [
        ("UUID={root} / ext4 defaults 0 1\nUUID={root} / ext4 x 0 1\n", None),  # mounts / twice
        (FSTAB, None),  # no initramfs
        (FSTAB, "/etc/passwd"),
        (FSTAB, "/dev/zero"),
    ],
)
def test_not_finding_out_fails_nothing(
    sqlite_house: House, tmp_path: Path, fstab: str, target: str | None
) -> None:
    server_disk(sqlite_house.disk, tmp_path, fstab, image=None)
    if target:
        with (
            linux.loop(sqlite_house.disk, MIB, 255 * MIB) as device,
            linux.mounted(device, tmp_path / "root") as at,
        ):
            (at / f"boot/initrd.img-{kernels.VERSION}").symlink_to(target)
    assert found(sqlite_house) is None


def test_what_was_known_before_is_not_kept_as_true(sqlite_house: House, tmp_path: Path) -> None:
    server_disk(sqlite_house.disk, tmp_path)
    assert found(sqlite_house) is not None
    with (
        linux.loop(sqlite_house.disk, MIB, 255 * MIB) as device,
        linux.mounted(device, tmp_path / "root") as at,
    ):
        (at / f"boot/initrd.img-{kernels.VERSION}").unlink()
    assert found(sqlite_house) is None


def test_a_file_system_that_cannot_be_mounted(sqlite_house: House) -> None:
    linux.partitioned(sqlite_house.disk, 64 * MIB, "label: dos\n2048,,83,*\n")
    with linux.loop(sqlite_house.disk, MIB, 63 * MIB) as device:
        linux.make_file_system("ext4", device)
        linux.run("debugfs", "-w", "-R", "clri <2>", device)
    assert found(sqlite_house) is None


def test_the_bootable_debian(sqlite_house: House, debian_disk: Path, tmp_path: Path) -> None:
    """Its own tools are the judge: lsinitramfs, and depmod's lists."""
    with sqlite_house.runtime.work() as work:
        [disk] = work.session.get_one(Server, sqlite_house.server.id).disks
        disk.address = str(debian_disk)
        work.commit()
    drivers = found(sqlite_house)
    assert drivers is not None

    def read(path: str) -> bytes:
        command = ["debugfs", "-R", f"cat {path}", f"{debian_disk}?offset={MIB}"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    image = tmp_path / drivers.initramfs
    image.write_bytes(read(f"/boot/{drivers.initramfs}"))
    listed = linux.run("lsinitramfs", image)
    folder = f"/usr/lib/modules/{drivers.kernel}"
    built_in = read(f"{folder}/modules.builtin").decode()
    on_disk = re.sub(r":.*", "", read(f"{folder}/modules.dep").decode())
    assert drivers.initramfs == f"initrd.img-{drivers.kernel}"
    assert {"virtio_blk", "virtio_pci"} <= set(drivers.early)

    def there(text: str) -> set[str]:
        files = {line.rpartition("/")[2].partition(".ko")[0] for line in text.splitlines()}
        return {name for name in NAMES if {name, name.replace("_", "-")} & files}

    early = there(listed) | there(built_in)
    assert set(drivers.early) == early
    assert set(drivers.later) == there(on_disk) - early
    assert set(drivers.absent) == set(NAMES) - early - there(on_disk)
    # Its initramfs is made for virtio alone.
    _, layouts = look(sqlite_house)
    [told] = warnings(Kind.VMDK, layouts)
    assert f"(kernel {drivers.kernel}) hold no driver for VMware's LSI Logic" in told


@pytest.fixture
def guarded_house(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[House]:
    """A house whose disks nobody trusts."""
    made = make_house(
        sqlite_url,
        redis_url,
        swift_endpoint,
        data_folder,
        lease_seconds="60",
        reader="libguestfs",
    )
    yield made
    made.runtime.close()


def test_libguestfs_finds_the_same(guarded_house: House, tmp_path: Path) -> None:
    server_disk(guarded_house.disk, tmp_path)
    drivers = found(guarded_house)
    assert drivers is not None
    assert (drivers.early, drivers.later) == (("ahci", "nvme", "sd_mod"), ("mptspi",))


def test_libguestfs_follows_no_link(guarded_house: House, tmp_path: Path) -> None:
    server_disk(guarded_house.disk, tmp_path, image=None)
    with (
        linux.loop(guarded_house.disk, MIB, 255 * MIB) as device,
        linux.mounted(device, tmp_path / "root") as at,
    ):
        image = kernels.initramfs(tmp_path, EARLY)
        (at / "boot/good").write_bytes(image)
        (at / f"boot/initrd.img-{kernels.VERSION}").symlink_to("good")
    assert found(guarded_house) is None


def test_nothing_stays_after_a_kill(sqlite_house: House, tmp_path: Path) -> None:
    """SIGKILL of the job while the initramfs is unpacked."""
    script = "head -c 700M /dev/zero | gzip -1"
    slow = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    server_disk(sqlite_house.disk, tmp_path, image=slow)
    number = asked(sqlite_house)
    with subprocess.Popen(
        [sys.executable, "-c", f"from worker.jobs import inspect; inspect({number})"],
        env={**os.environ, **sqlite_house.environment},
    ) as job:
        while not unpackers():
            assert job.poll() is None
            time.sleep(0.005)
        job.kill()
    nothing_left(sqlite_house.disk)
    ends = time.monotonic() + 20
    while unpackers() and time.monotonic() < ends:
        time.sleep(0.1)
    assert unpackers() == []
    settings = sqlite_house.runtime.settings
    folder = settings.data.resolve() / "scratch/local"
    assert [left.name for left in folder.iterdir()] == [f"inspection-{sqlite_house.server.id}"]
    clear_leftovers(settings, "local")
    assert list(folder.iterdir()) == []


def look_with(house: House, capabilities: list[str]) -> tuple[Job, Drivers | None]:
    """Inspect with these alone."""
    number = asked(house)
    kept = "".join(f",+{name.removeprefix('CAP_').lower()}" for name in capabilities)
    subprocess.run(
        [
            *("setpriv", f"--bounding-set=-all{kept}", "--inh-caps=-all", "--no-new-privs"),
            *(sys.executable, "-c", f"from worker.jobs import inspect; inspect({number})"),
        ],
        env={**os.environ, **house.environment},
        check=True,
        timeout=120,
    )
    with house.runtime.work() as work:
        [disk] = work.session.get_one(Server, house.server.id).disks
        layout = inspections.layout_of(disk)
        assert layout is not None
        return work.session.get_one(Job, number), layout.drivers


def test_the_units_rights_are_enough(sqlite_house: House, tmp_path: Path) -> None:
    """Those of deploy/systemd for a kernel that mounts; with the worker's own, it is not known."""
    server_disk(sqlite_house.disk, tmp_path)
    job, drivers = look_with(sqlite_house, ["CAP_DAC_READ_SEARCH"])
    assert (job.state, job.error, drivers) == (JobState.DONE, None, None)
    unit = (CHECKOUT / "deploy/systemd/kernel-reader.conf").read_text()
    names = re.findall(r"CapabilityBoundingSet=(.+)", unit)[-1].split()
    job, drivers = look_with(sqlite_house, names)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert drivers is not None
    assert drivers.early == ("ahci", "nvme", "sd_mod")
    nothing_left(sqlite_house.disk)


def unpackers() -> list[str]:
    """Processes of nobody's that unpack something."""
    running = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            user = process.stat().st_uid
        except OSError:
            continue  # it has ended
        if command == b"gzip\0-dc\0" and user == 65534:
            running.append(process.name)
    return running
