"""Which kinds fit which servers."""

from __future__ import annotations

import pytest

from portal.domain.fitting import reason_against
from portal.domain.kinds import Kind
from portal.domain.layout import Layout, Partition


def layout(*systems: str, reason: str = "") -> Layout:
    parts = (
        Partition(number=number, start=0, length=100, file_system=system, reason=reason)
        for number, system in enumerate(systems, start=1)
    )
    return Layout(size=1000, to_read=500, table="mbr", partitions=tuple(parts))


@pytest.mark.parametrize(
    ("kind", "system", "layouts", "reason"),
    [
        (Kind.RAW, "Windows Server 2022", [layout("NTFS")], None),
        (Kind.RAW, "", [None], None),
        (Kind.TAR, "Debian 12", [None], None),
        (Kind.TAR, "", [None], None),
        (Kind.TAR, "", [layout("ext4"), layout("swap")], None),
        (Kind.TAR, "", [layout("swap"), layout("XFS")], None),
        (Kind.TAR, "", [layout("NTFS"), None], None),
        (Kind.TAR, "Windows Server 2019", [None], "Tar snapshots are for Linux"),
        (Kind.TAR, "Debian 12", [layout("NTFS")], "no Linux file system"),
        (Kind.NTFSCLONE, "Windows 2008", [None], None),
        (Kind.NTFSCLONE, "", [layout("FAT", "NTFS")], None),
        (Kind.NTFSCLONE, "Ubuntu 24.04", [None], "for Windows"),
        (Kind.NTFSCLONE, "Windows", [layout("FAT")], "no NTFS volume"),
        (Kind.NTFSCLONE, "Windows", [layout("NTFS", reason="It is dirty.")], "It is dirty."),
    ],
)
def test_a_reason_is_told_only_where_it_is_known(
    kind: Kind, system: str, layouts: list[Layout | None], reason: str | None
) -> None:
    told = reason_against(kind, system, layouts)
    assert (told is None) == (reason is None)
    assert (reason or "") in (told or "")


def test_a_disk_that_could_not_be_understood_excludes_nothing() -> None:
    whole = Layout(size=1000, to_read=1000, reason="Its table is damaged.")
    assert reason_against(Kind.TAR, "", [whole]) is None
