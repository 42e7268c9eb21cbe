"""What an export's destination hangs the disk on, and whether the server has drivers for that.

Sentences for the customer, only where a driver is known to be missing: of a server that nobody
could look into, nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.domain.drivers import Controller

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portal.domain.drivers import Drivers
    from portal.domain.layout import Layout

_IDE, _SATA, _LSI = Controller.IDE, Controller.SATA, Controller.LSI_LOGIC


@dataclass(frozen=True, slots=True)
class _Choice:
    """A destination where the controller can be chosen: what is there unless somebody chooses.

    With any of `usual` nothing has to be said; `instead`, in order of preference, are others.
    """

    name: str
    usual: tuple[Controller, ...]
    instead: tuple[Controller, ...]


_CHOICES: dict[str, _Choice] = {
    "vmdk": _Choice(
        "VMware's LSI Logic SCSI controller",
        usual=(_LSI,),
        instead=(_SATA, _IDE, Controller.PVSCSI, Controller.NVME),
    ),
    # An OVA says itself what its disks hang on (`bus`).
    "ova": _Choice(
        "an LSI Logic SCSI, SATA or IDE controller",
        usual=(_LSI, _SATA, _IDE),
        instead=(Controller.PVSCSI, Controller.NVME),
    ),
    "qcow2": _Choice(
        "virtio disks",
        usual=(Controller.VIRTIO_BLK,),
        instead=(Controller.VIRTIO_SCSI, _SATA, _IDE),
    ),
}
_HYPER_V: dict[str, tuple[str, str]] = {
    "vhd": (
        "Hyper-V and Azure",
        "Hyper-V generation 1 can start it from IDE, Azure cannot.",
    ),
    "vhdx": ("Hyper-V", "generation 1 can start it from IDE, generation 2 cannot."),
}
"""By kind: where it goes, and what is left to a kernel with IDE but nothing of Hyper-V's."""


def drivers_of(layouts: Iterable[Layout | None]) -> Drivers | None:
    """Those of a server's disks that hold a Linux; None where that is not known."""
    return next((layout.drivers for layout in layouts if layout and layout.drivers), None)


def warnings(kind: str, drivers: Drivers | None) -> list[str]:
    """What is to be said of exports of that kind (its value); nothing where nothing is missing."""
    if drivers is None:
        return []
    if kind in _CHOICES:
        return _of_choice(_CHOICES[kind], drivers)
    if kind in _HYPER_V:
        return _of_hyper_v(*_HYPER_V[kind], drivers)
    return []


def _of_choice(choice: _Choice, drivers: Drivers) -> list[str]:
    if not all(drivers.lacks(controller) for controller in choice.usual):
        return []
    missing = f"{_files(drivers)} hold no driver for {choice.name}"
    others = [controller.value for controller in choice.instead if drivers.has(controller)]
    way = _way(drivers, choice.usual)
    if others:
        or_else = f", or {way} first" if way else ""
        return [f"{missing}: attach the disk as {_either(others)} instead{or_else}."]
    if not way:
        way = _way(drivers, choice.instead) or "give it a kernel that has one"
    none = all(drivers.lacks(controller) for controller in choice.instead)
    nor = ", nor another that it could start with there" if none else ""
    return [f"{missing}{nor}: {way} first."]


def _of_hyper_v(where: str, with_ide: str, drivers: Drivers) -> list[str]:
    """Hyper-V shows its disks as IDE too, in generation 1.

    But a Linux that has hv_storvsc anywhere, even if too late, ignores those (ata_piix's
    `prefer_ms_hyperv`).
    """
    if not drivers.lacks(Controller.HYPER_V):
        return []
    missing = f"{_files(drivers)} hold no driver for the disks of {where}"
    if "hv_storvsc" in drivers.absent and drivers.has(_IDE):
        return [f"{missing}: {with_ide}"]
    way = _way(drivers, (Controller.HYPER_V,)) or "give it a kernel that has one"
    return [f"{missing}: {way} first."]


def _files(drivers: Drivers) -> str:
    return f"This server's start-up files (kernel {drivers.kernel})"


def _way(drivers: Drivers, controllers: Sequence[Controller]) -> str:
    """How the driver of the first that the kernel has gets into the initramfs; "" where none is."""
    add = next((found for one in controllers if (found := drivers.to_add(one))), ())
    if not add:
        return ""
    names = _and(add)
    if drivers.initramfs.startswith("initrd.img-"):
        return f"add {names} to /etc/initramfs-tools/modules and run update-initramfs -u"
    if drivers.initramfs.startswith("initramfs-linux"):
        return f"add {names} to MODULES in /etc/mkinitcpio.conf and run mkinitcpio -P"
    if drivers.initramfs.endswith(".img") or drivers.initramfs.startswith("initrd-"):
        return f'run dracut --force --add-drivers "{" ".join(add)}"'
    return f"add {names} to its initramfs"


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
