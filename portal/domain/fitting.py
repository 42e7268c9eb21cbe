"""Which kinds of snapshot fit a server, from what is known of it; and why the others do not.

Only what is known excludes: of a server whose disks were never looked at, and whose operating
system nobody noted, everything may be tried. The worker looks again, and refuses with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portal.domain.layout import Layout, Partition

LINUX = frozenset({"ext2", "ext3", "ext4", "XFS", "btrfs"})
"""File systems, as layouts name them, that hold a Linux server's files."""
NTFS = "NTFS"
_LINUX_NAMES = (
    *("debian", "ubuntu", "centos", "rocky", "alma", "red hat", "rhel", "fedora", "suse"),
    *("arch", "gentoo", "alpine", "linux", "oracle", "mint", "slackware"),
)


def reason_against(
    kind: Kind, operating_system: str, layouts: Sequence[Layout | None]
) -> str | None:
    """One sentence why the kind does not fit, or None. `layouts`: a disk's, None where unknown."""
    if kind is Kind.TAR:
        if is_windows(operating_system):
            return "Tar snapshots are for Linux servers."
        if _surely_without(layouts, LINUX):
            return "There is no Linux file system on the server's disks."
    if kind is Kind.NTFSCLONE:
        if is_linux(operating_system):
            return "ntfsclone snapshots are for Windows servers."
        if _surely_without(layouts, {NTFS}):
            return "There is no NTFS volume on the server's disks."
        for part in _parts(layouts):
            if part.file_system == NTFS and part.reason:
                return f"Partition {part.number} cannot be taken: {part.reason}"
    return None


def is_windows(operating_system: str) -> bool:
    """Whether its name says so."""
    return "windows" in operating_system.lower()


def is_linux(operating_system: str) -> bool:
    """Whether its name says so."""
    name = operating_system.lower()
    return not is_windows(name) and any(word in name for word in _LINUX_NAMES)


def _surely_without(layouts: Sequence[Layout | None], wanted: frozenset[str] | set[str]) -> bool:
    """Whether all disks are known, and none has such a file system or something unknown."""
    if not layouts or any(layout is None or layout.reason for layout in layouts):
        return False
    return not any(part.file_system in wanted for part in _parts(layouts))


def _parts(layouts: Sequence[Layout | None]) -> Iterator[Partition]:
    for layout in layouts:
        if layout is not None:
            yield from layout.partitions
