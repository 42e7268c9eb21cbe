"""What a server's disks can become elsewhere, and what the new machine has to be like.

Pure: from the disks' sizes and layouts, as a worker saw them last, and the operating system's name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from portal.domain import amounts, controllers
from portal.domain.compatibility import notes_for
from portal.domain.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.domain.layout import Layout

_SIZES = {
    Kind.VHD: (2040 * 1024**3, "cannot be a VHD, which ends at 2,040 GiB: use VHDX."),
    Kind.VHDX: (64 * 1024**4, "cannot be a VHDX, which ends at 64 TiB."),
    Kind.QCOW2: (256 * 1024**4, "is too large for a QCOW2 file made here."),
}
"""What a format, or snapcore's writer of it, takes, in bytes; and what is said of more."""
VMDK_FILE_MOST = 2 * 1024**4
"""A VMDK file has 32-bit sector numbers: it ends below 2 TiB."""
_EFI_GUID = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
_BIOS_BOOT_GUID = "21686148-6449-6e6f-744e-656564454649"
_EFI_MBR = "0xef"


class Boot(StrEnum):
    """What firmware a machine starts with."""

    BIOS = "BIOS"
    UEFI = "UEFI"
    EITHER = "BIOS or UEFI"


def reason_against(
    kind: Kind, sizes: Sequence[int | None], layouts: Sequence[Layout | None]
) -> str | None:
    """One sentence why the disks cannot become that, or None. Bytes; None where not known."""
    most, words = _SIZES.get(kind, (None, ""))
    for size in sizes:
        if most is not None and size is not None and size > most:
            return f"A disk of {amounts.size(size)} {words}"
    for layout in layouts:
        in_vmdk = kind in {Kind.VMDK, Kind.OVA}
        if in_vmdk and layout is not None and layout.to_read >= VMDK_FILE_MOST:
            return (
                f"{amounts.size(layout.to_read)} of data cannot be in a VMDK file, which ends below"
                " 2 TiB: use QCOW2 or VHDX."
            )
    return None


def boot_mode(layouts: Sequence[Layout | None]) -> Boot | None:
    """What the first disk's partition table is made for; None where it does not tell."""
    first = layouts[0] if layouts else None
    if first is None:
        return None
    types = {part.type_id.lower() for part in first.partitions}
    efi = bool(types & {_EFI_GUID, _EFI_MBR})
    if first.table == "mbr":
        active = any(part.bootable for part in first.partitions)
        return Boot.EITHER if efi and active else Boot.UEFI if efi else Boot.BIOS
    if first.table == "gpt":
        bios = _BIOS_BOOT_GUID in types
        return Boot.EITHER if efi and bios else Boot.UEFI if efi else Boot.BIOS if bios else None
    return None


def notes(operating_system: str, layouts: Sequence[Layout | None]) -> list[str]:
    """Sentences on the machine that an export is to run in."""
    mode = boot_mode(layouts)
    told = []
    if mode is not None:
        told.append(
            f"The new machine's firmware must be {mode}: the disk starts with nothing else."
        )
        if mode is Boot.EITHER:
            told[-1] = "The new machine's firmware may be BIOS or UEFI."
    return told + notes_for(operating_system)


def warnings(kind: Kind, layouts: Sequence[Layout | None]) -> list[str]:
    """Sentences on what the server lacks for that export: drivers, where they were looked for."""
    return controllers.warnings(kind.value, controllers.drivers_of(layouts))
