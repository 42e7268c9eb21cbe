"""Where a server's file systems lie on its disks, and what its fstab may call them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from portal.domain.errors import Unsuitable
from worker.filesystems.fstab import normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import snapcore

MOUNTABLE = {
    "ext2": "ext4",
    "ext3": "ext4",
    "ext4": "ext4",
    "XFS": "xfs",
    "btrfs": "btrfs",
    "FAT": "vfat",
}
"""File systems as snapcore names them, and the kernel's names of what reads them."""
_DISK_NAMES = ("/dev/sd{letter}", "/dev/vd{letter}", "/dev/xvd{letter}", "/dev/hd{letter}")
_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Volume:
    """A file system on a disk; bytes. `names` are what an fstab may call it (`fstab.normal`).

    `path` is the disk's on the host, `device` what Linux calls the volume where the server's disks
    are sda, sdb…
    """

    disk: int
    path: str
    device: str
    start: int
    length: int
    type: str
    uuid: str
    label: str
    names: tuple[str, ...]
    in_pieces: bool = False
    """A logical volume that does not lie on its disk in one piece: it cannot be mounted."""

    def as_json(self) -> dict[str, Any]:
        """For the child."""
        return asdict(self)


def table_of(path: str) -> dict[str, Any]:
    """The partition table as sfdisk tells it, without the host's names; {} where there is none."""
    told = subprocess.run(  # noqa: S603
        ["sfdisk", "--json", path],  # noqa: S607
        capture_output=True,
        check=False,
        timeout=_TIMEOUT,
    )
    if told.returncode != 0:
        return {}
    table: dict[str, Any] = json.loads(told.stdout)["partitiontable"]
    table.pop("device", None)
    for entry in table.get("partitions", ()):
        entry["number"] = int(entry.pop("node").removeprefix(path).removeprefix("p"))
    return table


def volumes_of(
    disk: int, path: str, plan: snapcore.Plan, table: dict[str, Any]
) -> Iterator[Volume]:
    """Everything on the disk that can be mounted. `disk` counts from 1."""
    entries = {entry["number"]: entry for entry in table.get("partitions", ())}
    for partition in plan.partitions:
        entry = entries.get(partition.number, {})
        names = _partition_names(disk, partition, table, entry)
        if partition.file_system in MOUNTABLE:
            yield Volume(
                disk=disk,
                path=path,
                device=f"/dev/sd{chr(ord('a') + disk - 1)}{partition.number or ''}",
                start=partition.start,
                length=partition.length,
                type=MOUNTABLE[partition.file_system],
                uuid=partition.uuid,
                label=partition.label,
                names=tuple(names),
            )
        for volume in partition.volumes:
            if volume.file_system not in MOUNTABLE:
                continue
            yield Volume(
                disk=disk,
                path=path,
                device=f"/dev/{volume.group}/{volume.name}",
                start=volume.start or 0,
                length=volume.length,
                type=MOUNTABLE[volume.file_system],
                uuid=volume.uuid,
                label=volume.label,
                names=tuple(_volume_names(volume)),
                in_pieces=volume.start is None,
            )


def _partition_names(
    disk: int, partition: snapcore.Partition, table: dict[str, Any], entry: dict[str, Any]
) -> Iterator[str]:
    yield from _own_names(partition.uuid, partition.label)
    number = partition.number or ""
    letter = chr(ord("a") + disk - 1) if disk <= 26 else ""
    if letter:
        for name in _DISK_NAMES:
            yield f"{name.format(letter=letter)}{number}"
    yield f"/dev/nvme{disk - 1}n1p{number}" if number else f"/dev/nvme{disk - 1}n1"
    if entry.get("uuid"):
        yield normal(f"PARTUUID={entry['uuid']}")
    elif number and str(table.get("id", "")).startswith("0x"):
        yield normal(f"PARTUUID={table['id'][2:]}-{number:02x}")
    if entry.get("name"):
        yield normal(f"PARTLABEL={entry['name']}")


def _volume_names(volume: snapcore.LogicalVolume) -> Iterator[str]:
    yield from _own_names(volume.uuid, volume.label)
    yield f"/dev/{volume.group}/{volume.name}"
    group, name = (text.replace("-", "--") for text in (volume.group, volume.name))
    yield f"/dev/mapper/{group}-{name}"


def _own_names(uuid: str, label: str) -> Iterator[str]:
    if uuid:
        yield normal(f"UUID={uuid}")
    if label:
        yield normal(f"LABEL={label}")


def check_some(volumes: list[Volume]) -> None:
    """Raise `Unsuitable` where there is nothing that could be mounted."""
    if not volumes:
        raise Unsuitable(
            "No Linux file system was found on this server's disks: take a raw snapshot instead."
        )
