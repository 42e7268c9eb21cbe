"""The OVF description: the order of the schema, the right controllers, any name."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from portal.domain import ovf
from portal.domain.guest_types import guest_type

ENVELOPE = ["References", "DiskSection", "NetworkSection", "VirtualSystem"]
SYSTEM = ["Info", "Name", "OperatingSystemSection", "VirtualHardwareSection"]
"""As DSP8023 has them in sequence."""


def machine(count: int = 1, bus: ovf.Bus = ovf.Bus.LSILOGIC, **more: object) -> ovf.Machine:
    facts: dict[str, object] = {
        "name": "web-1",
        "guest": guest_type("Debian 12"),
        "uefi": False,
        "disks": [(f"web-1-disk{number}.vmdk", number << 20) for number in range(1, count + 1)],
    }
    return ovf.Machine(bus=bus, **{**facts, **more})  # type: ignore[arg-type]


def plain(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def children(element: ET.Element) -> list[str]:
    return [plain(child) for child in element]


def find(root: ET.Element, *names: str) -> ET.Element:
    found = root.find("/".join(f"{{{ovf.OVF}}}{name}" for name in names))
    assert found is not None
    return found


def items(root: ET.Element) -> list[dict[str, str]]:
    hardware = find(root, "VirtualSystem", "VirtualHardwareSection")
    return [
        {plain(field): field.text or "" for field in item}
        for item in hardware
        if plain(item) == "Item"
    ]


@pytest.mark.parametrize("uefi", [False, True])
@pytest.mark.parametrize("bus", ovf.Bus)
def test_everything_stands_in_the_order_of_the_schema(bus: ovf.Bus, uefi: bool) -> None:
    root = ET.fromstring(ovf.write_ovf(machine(3, bus, uefi=uefi)))
    assert plain(root) == "Envelope"
    assert children(root) == ENVELOPE
    assert children(find(root, "DiskSection")) == ["Info", "Disk", "Disk", "Disk"]
    assert children(find(root, "NetworkSection")) == ["Info", "Network"]
    assert children(find(root, "VirtualSystem")) == SYSTEM
    guest = find(root, "VirtualSystem", "OperatingSystemSection")
    assert children(guest) == ["Info", "Description"]
    hardware = children(find(root, "VirtualSystem", "VirtualHardwareSection"))
    count = hardware.count("Item")
    assert hardware == ["Info", "System", *["Item"] * count, *(["Config"] if uefi else [])]
    system = find(root, "VirtualSystem", "VirtualHardwareSection", "System")
    assert children(system) == sorted(children(system))
    for item in find(root, "VirtualSystem", "VirtualHardwareSection"):
        if plain(item) == "Item":
            assert children(item) == sorted(children(item))
            assert {"ElementName", "InstanceID", "ResourceType"} <= set(children(item))
    numbers = [item["InstanceID"] for item in items(root)]
    assert len(numbers) == len(set(numbers))


def test_disks_are_told_in_bytes_and_found_by_their_numbers() -> None:
    root = ET.fromstring(ovf.write_ovf(machine(2)))
    files = [
        {key.rpartition("}")[2]: value for key, value in file.attrib.items()}
        for file in find(root, "References")
    ]
    assert files == [
        {"href": "web-1-disk1.vmdk", "id": "file1"},
        {"href": "web-1-disk2.vmdk", "id": "file2"},
    ]
    disk = {
        key.rpartition("}")[2]: value for key, value in find(root, "DiskSection")[2].attrib.items()
    }
    assert disk == {
        "capacity": str(2 << 20),
        "capacityAllocationUnits": "byte",
        "diskId": "vmdisk2",
        "fileRef": "file2",
        "format": "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
    }
    assert [item["HostResource"] for item in items(root) if item["ResourceType"] == "17"] == [
        "ovf:/disk/vmdisk1",
        "ovf:/disk/vmdisk2",
    ]


@pytest.mark.parametrize(
    ("bus", "kind", "places"),
    [(ovf.Bus.IDE, "5", 2), (ovf.Bus.SATA, "20", 30), (ovf.Bus.LSILOGIC, "6", 7)],
)
def test_as_many_controllers_as_the_disks_need(bus: ovf.Bus, kind: str, places: int) -> None:
    count = ovf.most_disks(bus)
    found = items(ET.fromstring(ovf.write_ovf(machine(count, bus))))
    controllers = [item for item in found if item["ResourceType"] == kind]
    assert [item["Address"] for item in controllers] == [
        str(number) for number in range(count // places)
    ]
    at = {item["InstanceID"]: item["Address"] for item in controllers}
    disks = [item for item in found if item["ResourceType"] == "17"]
    assert [(at[item["Parent"]], item["AddressOnParent"]) for item in disks] == [
        (str(number // places), str(number % places)) for number in range(count)
    ]


def test_firmware_is_told_only_where_it_must_be_uefi() -> None:
    assert b"firmware" not in ovf.write_ovf(machine())
    told = ovf.write_ovf(machine(uefi=True))
    assert b'ovf:required="false" vmw:key="firmware" vmw:value="efi"' in told


@pytest.mark.parametrize("name", ["\"<&>'", "ünïcode 猫", "a\ufffeb", "]]>", "a" * 255])
def test_any_name_gives_a_whole_document(name: str) -> None:
    root = ET.fromstring(ovf.write_ovf(machine(name=name)))
    kept = name.replace("\ufffe", "_")
    assert find(root, "VirtualSystem", "Name").text == kept
    assert find(root, "VirtualSystem").get(f"{{{ovf.OVF}}}id") == kept


def test_the_same_machine_gives_the_same_bytes() -> None:
    assert ovf.write_ovf(machine(2)) == ovf.write_ovf(machine(2))
