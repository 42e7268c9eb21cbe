"""What customers are told of missing drivers, export by export."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portal.domain.controllers import drivers_of, warnings
from portal.domain.drivers import NAMES, Drivers
from portal.domain.kinds import FACTS, Kind
from portal.domain.layout import Layout
from portal.domain.preflight import warnings as warnings_for

EXPORTS = ("vmdk", "ova", "vhd", "vhdx", "qcow2")
EVERYTHING = " ".join(NAMES)
VIRTIO_ONLY = "virtio_pci virtio_blk"
LSI = "VMware's LSI Logic SCSI controller"
ANY = "an LSI Logic SCSI, SATA or IDE controller"
HV = "the disks of Hyper-V"
NONE = ", nor another that it could start with there"
AS = "attach the disk as"
PUT = "add mptspi to /etc/initramfs-tools/modules and run update-initramfs -u first."
GENERATION_1 = "generation 1 can start it from IDE"
FILES = "This server's start-up files (kernel 6.1.0-18-amd64) hold no driver for "


def drivers(early: str, later: str = "", initramfs: str = "initrd.img-6.1.0-18-amd64") -> Drivers:
    there = {*early.split(), *later.split()}
    return Drivers(
        kernel="6.1.0-18-amd64",
        initramfs=initramfs,
        early=tuple(early.split()),
        later=tuple(later.split()),
        absent=tuple(name for name in NAMES if name not in there),
    )


@pytest.mark.parametrize("kind", EXPORTS)
def test_nothing_is_said_where_all_is_there_or_nothing_is_known(kind: str) -> None:
    assert warnings(kind, drivers(EVERYTHING)) == []
    assert warnings(kind, None) == []


@pytest.mark.parametrize("kind", [kind for kind in Kind if not FACTS[kind].export])
def test_nothing_is_said_of_what_is_no_export(kind: Kind) -> None:
    assert warnings_for(kind, [Layout(size=1, to_read=1, drivers=drivers(VIRTIO_ONLY))]) == []


@pytest.mark.parametrize("kind", [kind for kind in Kind if FACTS[kind].export])
def test_every_export_is_warned_of_when_nothing_would_start_it(kind: Kind) -> None:
    told = warnings_for(kind, [None, Layout(size=1, to_read=1, drivers=drivers("xen_blkfront"))])
    assert len(told) == 1


@pytest.mark.parametrize(
    ("kind", "early", "later", "told"),
    [
        # What a destination usually has is there: nothing.
        ("vmdk", "mptspi sd_mod", "", ""),
        ("qcow2", VIRTIO_ONLY, "", ""),
        ("vhd", "hv_vmbus hv_storvsc sd_mod", "", ""),
        ("vhdx", "hv_vmbus hv_storvsc sd_mod", "", ""),
        ("ova", "ata_piix sd_mod", "", ""),
        ("ova", "ahci sd_mod", "", ""),
        # Something else would do.
        ("vmdk", "ahci ata_piix sd_mod", "mptspi", f"{LSI}: {AS} SATA or IDE instead, or {PUT}"),
        ("vmdk", "ata_piix sd_mod nvme", "", f"{LSI}: {AS} IDE or NVMe instead."),
        ("vmdk", "vmw_pvscsi sd_mod", "", f"{LSI}: {AS} VMware Paravirtual instead."),
        ("qcow2", "ahci sd_mod", "", f"virtio disks: {AS} SATA instead."),
        # Nothing else would do.
        ("vmdk", VIRTIO_ONLY, "mptspi", f"{LSI}{NONE}: give it a kernel that has one first."),
        ("vmdk", "sd_mod", "mptspi", f"{LSI}{NONE}: {PUT}"),
        ("vmdk", "sd_mod", "ahci", f"{LSI}{NONE}: {PUT.replace('mptspi', 'ahci')}"),
        ("ova", VIRTIO_ONLY, "", f"{ANY}{NONE}: give it a kernel that has one first."),
        ("ova", "vmw_pvscsi sd_mod", "", f"{ANY}: {AS} VMware Paravirtual instead."),
        # Hyper-V, whose disks are IDE too, unless the kernel has its driver, though too late.
        ("vhd", "ata_piix sd_mod", "", f"{HV} and Azure: Hyper-V {GENERATION_1}, Azure cannot."),
        ("vhdx", "ata_piix sd_mod", "", f"{HV}: {GENERATION_1}, generation 2 cannot."),
        ("vhdx", "sd_mod hv_vmbus", "hv_storvsc", f"{HV}: {PUT.replace('mptspi', 'hv_storvsc')}"),
        ("vhdx", VIRTIO_ONLY, "", f"{HV}: give it a kernel that has one first."),
    ],
)
def test_what_is_told(kind: str, early: str, later: str, told: str) -> None:
    assert warnings(kind, drivers(early, later)) == ([FILES + told] if told else [])


def test_ide_is_no_way_where_hyper_v_s_driver_is_there_but_too_late() -> None:
    """ata_piix leaves the disks to it."""
    [told] = warnings("vhdx", drivers("ata_piix sd_mod", "hv_vmbus hv_storvsc"))
    assert "add hv_storvsc and hv_vmbus to /etc/initramfs-tools/modules" in told
    assert "IDE" not in told


@pytest.mark.parametrize(
    ("initramfs", "way"),
    [
        ("initrd.img-6.1.0-18-amd64", "/etc/initramfs-tools/modules and run update-initramfs -u"),
        ("initramfs-5.14.0-362.el9.x86_64.img", 'run dracut --force --add-drivers "mptspi"'),
        ("initrd-6.4.0-150600.23-default", 'run dracut --force --add-drivers "mptspi"'),
        ("initramfs-linux.img", "add mptspi to MODULES in /etc/mkinitcpio.conf and run mkinitcpio"),
        ("initramfs-linux-lts.img", "add mptspi to MODULES in /etc/mkinitcpio.conf"),
        ("initramfs-virt", "add mptspi to its initramfs first."),
    ],
)
def test_the_way_is_that_of_who_made_the_initramfs(initramfs: str, way: str) -> None:
    [told] = warnings("vmdk", drivers("ahci sd_mod", "mptspi", initramfs))
    assert way in told


def test_of_what_was_not_looked_for_nothing_is_claimed() -> None:
    [told] = warnings("vmdk", replace(drivers("sd_mod"), absent=("mptspi",)))
    assert told == f"{FILES}{LSI}: give it a kernel that has one first."


def test_a_driver_that_was_not_looked_for_is_not_warned_of() -> None:
    known = drivers("sd_mod")
    absent = tuple(name for name in known.absent if name != "mptspi")
    assert warnings("vmdk", replace(known, absent=absent)) == []


def test_they_are_those_of_the_disk_with_linux() -> None:
    found = drivers(VIRTIO_ONLY)
    layouts = [None, Layout(size=1, to_read=1), Layout(size=1, to_read=1, drivers=found)]
    assert drivers_of(layouts) == found
    assert drivers_of(layouts[:2]) is None
    assert drivers_of([]) is None
