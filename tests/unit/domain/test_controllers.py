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
        (
            "vmdk",
            "ahci ata_piix sd_mod",
            "mptspi",
            "VMware's LSI Logic SCSI controller: attach the disk as SATA or IDE instead, or add"
            " mptspi to /etc/initramfs-tools/modules and run update-initramfs -u first.",
        ),
        (
            "vmdk",
            "ata_piix vmw_pvscsi sd_mod nvme",
            "",
            "VMware's LSI Logic SCSI controller: attach the disk as IDE, VMware Paravirtual or NVMe"
            " instead.",
        ),
        (
            "qcow2",
            "ahci sd_mod",
            "virtio_pci virtio_blk",
            "virtio disks: attach the disk as SATA instead, or add virtio_blk and virtio_pci to"
            " /etc/initramfs-tools/modules and run update-initramfs -u first.",
        ),
        # Nothing else would do.
        (
            "vmdk",
            VIRTIO_ONLY,
            "mptspi sd_mod",
            "VMware's LSI Logic SCSI controller, nor another that it could start with there: add"
            " mptspi and sd_mod to /etc/initramfs-tools/modules and run update-initramfs -u first.",
        ),
        (
            "vmdk",
            VIRTIO_ONLY,
            "ata_piix sd_mod",
            "VMware's LSI Logic SCSI controller, nor another that it could start with there: add"
            " ata_piix and sd_mod to /etc/initramfs-tools/modules and run update-initramfs -u"
            " first.",
        ),
        (
            "ova",
            VIRTIO_ONLY,
            "",
            "an LSI Logic SCSI, SATA or IDE controller, nor another that it could start with"
            " there: give it a kernel that has one first.",
        ),
        # Hyper-V, whose disks are IDE too, unless the kernel has its driver, though too late.
        (
            "vhd",
            "ata_piix sd_mod",
            "",
            "the disks of Hyper-V and Azure: Hyper-V generation 1 can start it from IDE, Azure"
            " cannot.",
        ),
        (
            "vhdx",
            "ata_piix sd_mod",
            "",
            "the disks of Hyper-V: generation 1 can start it from IDE, generation 2 cannot.",
        ),
        (
            "vhd",
            "ata_piix sd_mod",
            "hv_vmbus hv_storvsc",
            "the disks of Hyper-V and Azure: add hv_storvsc and hv_vmbus to"
            " /etc/initramfs-tools/modules and run update-initramfs -u first.",
        ),
        ("vhdx", VIRTIO_ONLY, "", "the disks of Hyper-V: give it a kernel that has one first."),
    ],
)
def test_what_is_told(kind: str, early: str, later: str, told: str) -> None:
    assert warnings(kind, drivers(early, later)) == ([FILES + told] if told else [])


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
