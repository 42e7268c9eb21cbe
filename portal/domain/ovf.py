"""The description of a machine in an OVA (DMTF DSP0243, version 1.1 of the envelope).

What must always hold: children stand in the order of the schema (a section's by its sequence, an
item's and the system's by the alphabet): importers check it. Nothing in it is known only after the
disks: no file's size, which the schema leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from portal.domain.guest_types import GuestType

OVF = "http://schemas.dmtf.org/ovf/envelope/1"
RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
VMW = "http://www.vmware.com/schema/ovf"
_FORMAT = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_HARDWARE = "vmx-10"
"""VMware's virtual hardware of 2013 (ESXi 5.5): the first with SATA; everything newer takes it."""
_NETWORK = "VM Network"
CPUS = 2
MEMORY_MIB = 2048
"""What the new machine begins with: what the server has is not known here, and easily changed."""

for _prefix, _uri in (("ovf", OVF), ("rasd", RASD), ("vssd", VSSD), ("vmw", VMW)):
    ET.register_namespace(_prefix, _uri)


class Bus(StrEnum):
    """The controller that the disks of the new machine are attached to."""

    IDE = "ide"
    SATA = "sata"
    LSILOGIC = "lsilogic"


@dataclass(frozen=True, slots=True)
class _Controllers:
    resource_type: int
    sub_type: str
    words: str
    places: int
    """Disks at one controller."""
    most: int
    """Controllers."""


_BUSES = {
    Bus.IDE: _Controllers(5, "PIIX4", "IDE Controller", 2, 2),
    Bus.SATA: _Controllers(20, "vmware.sata.ahci", "SATA Controller", 30, 1),
    # Place 7 is the controller's own.
    Bus.LSILOGIC: _Controllers(6, "lsilogic", "SCSI Controller", 7, 4),
}


def most_disks(bus: Bus) -> int:
    """How many disks a machine has room for."""
    return _BUSES[bus].places * _BUSES[bus].most


@dataclass(frozen=True, slots=True)
class Machine:
    """What is described. `disks`: each file's name, and the bytes that the machine sees of it."""

    name: str
    guest: GuestType
    bus: Bus
    uefi: bool
    disks: Sequence[tuple[str, int]]


def write_ovf(machine: Machine) -> bytes:
    """The XML, UTF-8. At most `most_disks` of the bus."""
    name = "".join(c if _may_be_written(c) else "_" for c in machine.name)
    machine = replace(machine, name=name)
    envelope = ET.Element(_ovf("Envelope"))
    references = ET.SubElement(envelope, _ovf("References"))
    disks = _section(envelope, "DiskSection", "The machine's disks")
    for number, (file, size) in enumerate(machine.disks, start=1):
        _add(references, "File", {"href": file, "id": f"file{number}"})
        _add(
            disks,
            "Disk",
            {
                "capacity": str(size),
                "capacityAllocationUnits": "byte",
                "diskId": f"vmdisk{number}",
                "fileRef": f"file{number}",
                "format": _FORMAT,
            },
        )
    networks = _section(envelope, "NetworkSection", "The networks that the machine is in")
    network = _add(networks, "Network", {"name": _NETWORK})
    _add(network, "Description", text="The network of the new machine")
    system = _add(envelope, "VirtualSystem", {"id": machine.name})
    _add(system, "Info", text="A machine exported from its server")
    _add(system, "Name", text=machine.name)
    guest = _section(system, "OperatingSystemSection", "The operating system on its disks")
    guest.set(_ovf("id"), str(machine.guest.cim))
    guest.set(f"{{{VMW}}}osType", machine.guest.vmware)
    _add(guest, "Description", text=machine.guest.words)
    _hardware(system, machine)
    ET.indent(envelope)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(envelope) + b"\n"


def _hardware(system: ET.Element, machine: Machine) -> None:
    hardware = _section(system, "VirtualHardwareSection", "The hardware that the machine needs")
    family = _add(hardware, "System")
    for name, value in (
        ("ElementName", "Virtual Hardware Family"),
        ("InstanceID", "0"),
        ("VirtualSystemIdentifier", machine.name),
        ("VirtualSystemType", _HARDWARE),
    ):
        ET.SubElement(family, f"{{{VSSD}}}{name}").text = value
    for number, item in enumerate(_items(machine), start=1):
        element = _add(hardware, "Item")
        for key, content in sorted({"InstanceID": number, **item}.items()):
            ET.SubElement(element, f"{{{RASD}}}{key}").text = str(content)
    if machine.uefi:
        attributes = {_ovf("required"): "false"}
        attributes |= {f"{{{VMW}}}key": "firmware", f"{{{VMW}}}value": "efi"}
        ET.SubElement(hardware, f"{{{VMW}}}Config", attributes)


def _items(machine: Machine) -> Iterator[Mapping[str, str | int]]:
    yield {
        "AllocationUnits": "hertz * 10^6",
        "Description": "Number of virtual CPUs",
        "ElementName": f"{CPUS} virtual CPUs",
        "ResourceType": 3,
        "VirtualQuantity": CPUS,
    }
    yield {
        "AllocationUnits": "byte * 2^20",
        "Description": "Memory size",
        "ElementName": f"{MEMORY_MIB} MiB of memory",
        "ResourceType": 4,
        "VirtualQuantity": MEMORY_MIB,
    }
    yield {
        "AddressOnParent": 7,
        "AutomaticAllocation": "true",
        "Connection": _NETWORK,
        "Description": f"E1000 ethernet adapter on {_NETWORK}",
        "ElementName": "Ethernet 1",
        "ResourceSubType": "E1000",
        "ResourceType": 10,
    }
    controllers = _BUSES[machine.bus]
    numbered = list(enumerate(machine.disks))
    for first in range(0, len(numbered), controllers.places):
        address = first // controllers.places
        parent = f"1{address:02d}"
        yield {
            "Address": address,
            "Description": controllers.words,
            "ElementName": f"{controllers.words} {address}",
            "InstanceID": parent,
            "ResourceSubType": controllers.sub_type,
            "ResourceType": controllers.resource_type,
        }
        for index, _disk in numbered[first : first + controllers.places]:
            yield {
                "AddressOnParent": index - first,
                "ElementName": f"Hard disk {index + 1}",
                "HostResource": f"ovf:/disk/vmdisk{index + 1}",
                "InstanceID": f"2{index:02d}",
                "Parent": parent,
                "ResourceType": 17,
            }


def _section(parent: ET.Element, name: str, info: str) -> ET.Element:
    section = _add(parent, name)
    _add(section, "Info", text=info)
    return section


def _add(
    parent: ET.Element, name: str, attributes: Mapping[str, str] | None = None, *, text: str = ""
) -> ET.Element:
    known = {_ovf(key): value for key, value in (attributes or {}).items()}
    element = ET.SubElement(parent, _ovf(name), known)
    element.text = text or None
    return element


def _may_be_written(character: str) -> bool:
    """Whether XML 1.0 has it at all."""
    return character >= " " and character not in "\ufffe\uffff"


def _ovf(name: str) -> str:
    return f"{{{OVF}}}{name}"
