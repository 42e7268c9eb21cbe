"""Disk controllers, the Linux drivers that reach a disk there, and which of those a server has.

A Linux server starts from a disk only if the driver of its controller is built into the kernel or
lies in the initramfs: what lies in /lib/modules alone cannot be read before the disk can. Names are
the kernel's modules, written with `_`.

What must always hold: what was not looked for is not said to be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Controller(StrEnum):
    """What a disk hangs on. Values are for people."""

    IDE = "IDE"
    SATA = "SATA"
    LSI_LOGIC = "LSI Logic SCSI"
    LSI_SAS = "LSI Logic SAS"
    PVSCSI = "VMware Paravirtual"
    VIRTIO_BLK = "virtio"
    VIRTIO_SCSI = "virtio-scsi"
    HYPER_V = "Hyper-V"
    XEN = "Xen"
    NVME = "NVMe"


REACHED_BY: dict[Controller, tuple[frozenset[str], ...]] = {
    # Everybody emulates Intel's PIIX; older kernels drove it by drivers/ide.
    Controller.IDE: (
        frozenset({"ata_piix", "sd_mod"}),
        frozenset({"piix", "ide_gd_mod"}),
        frozenset({"piix", "ide_disk"}),
        frozenset({"ide_generic", "ide_gd_mod"}),
        frozenset({"ide_generic", "ide_disk"}),
    ),
    Controller.SATA: (frozenset({"ahci", "sd_mod"}),),
    # The 53c1030, by Fusion MPT. sym53c8xx drives older chips, which no VMware or VirtualBox has.
    Controller.LSI_LOGIC: (frozenset({"mptspi", "sd_mod"}),),
    Controller.LSI_SAS: (frozenset({"mptsas", "sd_mod"}),),
    Controller.PVSCSI: (frozenset({"vmw_pvscsi", "sd_mod"}),),
    Controller.VIRTIO_BLK: (frozenset({"virtio_pci", "virtio_blk"}),),
    Controller.VIRTIO_SCSI: (frozenset({"virtio_pci", "virtio_scsi", "sd_mod"}),),
    Controller.HYPER_V: (frozenset({"hv_vmbus", "hv_storvsc", "sd_mod"}),),
    Controller.XEN: (frozenset({"xen_blkfront"}),),
    Controller.NVME: (frozenset({"nvme"}),),
}
"""Any one of the sets is enough; what these depend on, an initramfs holds with them."""

NAMES: tuple[str, ...] = tuple(
    sorted({name for sets in REACHED_BY.values() for needed in sets for name in needed})
)
"""What a worker looks for."""


@dataclass(frozen=True, slots=True)
class Drivers:
    """What a server's Linux starts with, of the drivers that were looked for.

    `kernel` is its version, `initramfs` the file's name. `early`: built in or in the initramfs;
    `later`: on the disk only; `absent`: nowhere. A driver in none of the three is not known.
    """

    kernel: str
    initramfs: str
    early: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def has(self, controller: Controller) -> bool:
        """Whether it surely reaches a disk there."""
        return any(needed <= set(self.early) for needed in REACHED_BY[controller])

    def lacks(self, controller: Controller) -> bool:
        """Whether it surely does not."""
        missing = {*self.later, *self.absent}
        return all(needed & missing for needed in REACHED_BY[controller])

    def to_add(self, controller: Controller) -> tuple[str, ...]:
        """What of the disk would have to be in the initramfs too; () where that is not enough."""
        for needed in REACHED_BY[controller]:
            if needed <= {*self.early, *self.later}:
                return tuple(sorted(needed & set(self.later)))
        return ()
