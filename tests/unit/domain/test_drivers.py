"""Which controllers a server's drivers reach, and what is kept of them beside the disk."""

from __future__ import annotations

import json

import pytest

from portal.domain.drivers import NAMES, Controller, Drivers
from portal.domain.layout import Layout

OLD = '{"partitions":[],"reason":"","size":1000,"table":"none","to_read":500}\n'


def drivers(early: str = "", later: str = "") -> Drivers:
    there = {*early.split(), *later.split()}
    return Drivers(
        kernel="6.1.0-18-amd64",
        initramfs="initrd.img-6.1.0-18-amd64",
        early=tuple(early.split()),
        later=tuple(later.split()),
        absent=tuple(name for name in NAMES if name not in there),
    )


@pytest.mark.parametrize(
    ("controller", "early", "reached"),
    [
        (Controller.SATA, "ahci sd_mod", True),
        (Controller.SATA, "ahci", False),
        (Controller.SATA, "sd_mod", False),
        (Controller.IDE, "ata_piix sd_mod", True),
        (Controller.IDE, "ata_piix", False),
        (Controller.IDE, "piix ide_disk", True),
        (Controller.IDE, "ide_generic ide_gd_mod", True),
        (Controller.LSI_LOGIC, "mptspi sd_mod", True),
        (Controller.LSI_LOGIC, "mptsas sd_mod", False),
        (Controller.LSI_SAS, "mptsas sd_mod", True),
        (Controller.PVSCSI, "vmw_pvscsi sd_mod", True),
        (Controller.VIRTIO_BLK, "virtio_pci virtio_blk", True),
        (Controller.VIRTIO_BLK, "virtio_blk", False),
        (Controller.VIRTIO_BLK, "virtio_pci virtio_scsi sd_mod", False),
        (Controller.VIRTIO_SCSI, "virtio_pci virtio_scsi sd_mod", True),
        (Controller.HYPER_V, "hv_vmbus hv_storvsc sd_mod", True),
        (Controller.HYPER_V, "hv_vmbus sd_mod", False),
        (Controller.XEN, "xen_blkfront", True),
        (Controller.NVME, "nvme", True),
    ],
)
def test_what_is_reached(controller: Controller, early: str, *, reached: bool) -> None:
    found = drivers(early)
    assert (found.has(controller), found.lacks(controller)) == (reached, not reached)


def test_too_late_is_lacking_and_can_be_added() -> None:
    found = drivers("sd_mod", later="mptspi hv_vmbus hv_storvsc")
    assert found.lacks(Controller.LSI_LOGIC)
    assert found.to_add(Controller.LSI_LOGIC) == ("mptspi",)
    assert found.to_add(Controller.HYPER_V) == ("hv_storvsc", "hv_vmbus")
    assert found.to_add(Controller.SATA) == ()


def test_what_was_not_looked_for_is_neither_there_nor_lacking() -> None:
    """A worker of before this driver came into the list."""
    found = Drivers("5.10", "initrd.img-5.10", early=("sd_mod",), absent=("ahci",))
    assert not found.has(Controller.LSI_LOGIC)
    assert not found.lacks(Controller.LSI_LOGIC)
    assert found.lacks(Controller.SATA)


def test_it_is_kept_beside_the_disk() -> None:
    layout = Layout(size=1000, to_read=500, drivers=drivers("ahci sd_mod", later="mptspi"))
    assert Layout.from_text(layout.as_text()) == layout
    kept = json.loads(layout.as_text())["drivers"]
    assert (kept["kernel"], kept["early"], kept["later"]) == (
        "6.1.0-18-amd64",
        ["ahci", "sd_mod"],
        ["mptspi"],
    )


def test_what_older_and_newer_workers_wrote_is_read() -> None:
    assert Layout.from_text(OLD) == Layout(size=1000, to_read=500)
    newer = json.loads(Layout(size=1000, to_read=500, drivers=drivers("nvme")).as_text())
    newer["drivers"]["later_still"] = 1
    assert Layout.from_text(json.dumps(newer)).drivers == drivers("nvme")
