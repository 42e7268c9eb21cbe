"""Who reads a server's file systems: the host's kernel, or libguestfs, as the host is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.filesystems.guest import GuestReading
from worker.filesystems.kvm import works
from worker.filesystems.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from portal.settings import Settings
    from worker.filesystems.volumes import Volume
    from worker.heartbeat import Heartbeat


def reading_of(
    settings: Settings,
    volumes: Sequence[Volume],
    scratch: Path,
    heartbeat: Heartbeat,
    *,
    only: Iterable[str] | None = None,
) -> Reading | GuestReading:
    """To be entered: then all is mounted, or `only` what has these mount points."""
    if settings.reader != "libguestfs":
        return Reading(volumes, scratch, heartbeat, only=only)
    kvm = settings.reader_kvm == "yes" or (
        settings.reader_kvm == "probe" and works(settings.data.resolve(), scratch, heartbeat)
    )
    return GuestReading(volumes, scratch, heartbeat, kvm=kvm, only=only)
