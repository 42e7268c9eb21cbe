"""The kinds of snapshot: what each is, for the form, the commands and the README.

Exports are for other virtualisation: a server can never be re-imaged from one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a snapshot is made of. Values are stored; never rename one."""

    RAW = "raw"
    TAR = "tar"
    NTFSCLONE = "ntfsclone"
    VMDK = "vmdk"
    VHD = "vhd"
    VHDX = "vhdx"
    QCOW2 = "qcow2"
    OVA = "ova"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What people are told of a kind; `suffix` is what its image file's name ends in."""

    label: str
    purpose: str
    suffix: str
    content_type: str
    reimageable: bool
    read_back: bool = False
    """Whether the file is read once more when it stands, which counts as progress again."""

    @property
    def export(self) -> bool:
        """Whether it is for other virtualisation, and can be made of a stored raw snapshot."""
        return not self.reimageable


FACTS: dict[Kind, KindFacts] = {
    Kind.RAW: KindFacts(
        label="Raw image",
        purpose="The whole disk, sector by sector, as one gzip file. Works for every system.",
        suffix=".raw.gz",
        content_type="application/gzip",
        reimageable=True,
    ),
    Kind.TAR: KindFacts(
        label="Tar archive",
        purpose="All files of a Linux server, as one archive that GNU tar unpacks.",
        suffix=".tar",
        content_type="application/x-tar",
        reimageable=True,
    ),
    Kind.NTFSCLONE: KindFacts(
        label="ntfsclone images",
        purpose="The used clusters of a Windows server's volumes. The older method: raw is better.",
        suffix=".img.gz",
        content_type="application/gzip",
        reimageable=True,
    ),
    Kind.VMDK: KindFacts(
        label="VMDK",
        purpose="For VMware, VirtualBox and KVM.",
        suffix=".vmdk",
        content_type="application/x-vmdk",
        reimageable=False,
    ),
    Kind.VHD: KindFacts(
        label="VHD",
        purpose="For Virtual PC, Hyper-V generation 1, Azure and XenServer.",
        suffix=".vhd",
        content_type="application/x-vhd",
        reimageable=False,
        read_back=True,
    ),
    Kind.VHDX: KindFacts(
        label="VHDX",
        purpose="For Hyper-V, both generations, and for disks too large for a VHD.",
        suffix=".vhdx",
        content_type="application/x-vhdx",
        reimageable=False,
        read_back=True,
    ),
    Kind.QCOW2: KindFacts(
        label="QCOW2",
        purpose="For KVM, Proxmox and OpenStack. Compressed.",
        suffix=".qcow2",
        content_type="application/x-qemu-disk",
        reimageable=False,
        read_back=True,
    ),
    Kind.OVA: KindFacts(
        label="OVA",
        purpose="The machine with all its disks in one file: one click in VMware and VirtualBox.",
        suffix=".ova",
        content_type="application/x-virtualbox-ova",
        reimageable=False,
        read_back=True,
    ),
}
