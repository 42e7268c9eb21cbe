"""What a disk holds, as a worker found it: its partition table, its partitions, what is used.

Kept as canonical JSON beside the disk; written by the worker, read by pages and commands. Readers
take what older workers wrote: a key that is missing has its default.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from portal.domain.drivers import Drivers
from portal.domain.index import canonical


@dataclass(frozen=True, slots=True)
class Partition:
    """A stretch of the disk; bytes. `reason`: why its unused space is not left out, or ""."""

    number: int
    start: int
    length: int
    file_system: str = ""
    label: str = ""
    used: int | None = None
    reason: str = ""
    type_id: str = ""
    """In the table: "0x83", or a GUID in lower case."""
    bootable: bool = False
    volume: str = ""
    """GROUP/NAME, where this is a logical volume in the partition of that number."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A disk; bytes. `to_read` is what a snapshot that leaves out unused space reads of it.

    `reason`: why the whole disk is taken whole, or "". `drivers`: of the Linux whose root file
    system is on this disk, what it starts with; None where that is not known.
    """

    size: int
    to_read: int
    table: str = "none"
    reason: str = ""
    partitions: tuple[Partition, ...] = field(default=())
    drivers: Drivers | None = None

    def as_text(self) -> str:
        """For the database."""
        return canonical(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of `as_text`."""
        known = json.loads(text)
        parts = tuple(Partition(**_only(Partition, part)) for part in known.get("partitions", ()))
        found = _drivers(known["drivers"]) if known.get("drivers") else None
        return cls(**{**_only(cls, known), "partitions": parts, "drivers": found})


def _drivers(values: dict[str, Any]) -> Drivers:
    lists = {name: tuple(values.get(name, ())) for name in ("early", "later", "absent")}
    return Drivers(**{**_only(Drivers, values), **lists})


def _only(of: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    names = {known.name for known in fields(of)}
    return {name: value for name, value in values.items() if name in names}
