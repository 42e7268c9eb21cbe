"""Which drivers a server's Linux starts with: asked of who may mount its file systems.

What must always hold: not finding out fails nothing. What is not known stays so, with the reason in
the log.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import structlog

from portal.domain.drivers import NAMES, Drivers
from portal.domain.errors import DiskUnavailable, Unsuitable
from portal.domain.fitting import LINUX
from worker.filesystems.initramfs import NotKnown
from worker.filesystems.reader import reading_of
from worker.filesystems.scratch import scratch
from worker.filesystems.startup import PLACES
from worker.filesystems.volumes import MOUNTABLE, table_of, volumes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import snapcore

    from portal.records import Server
    from portal.settings import Settings
    from worker.filesystems.volumes import Volume
    from worker.heartbeat import Heartbeat

log = structlog.get_logger()

_LINUX = frozenset(MOUNTABLE[name] for name in LINUX)


def find_drivers(
    settings: Settings, server: Server, plans: Sequence[snapcore.Plan], heartbeat: Heartbeat
) -> tuple[int, Drivers] | None:
    """The disk of the root file system, counting from 1, and what starts from it; None: not known.

    `plans` are of the server's disks, in their order.
    """
    try:
        volumes = _volumes(server, plans)
        if not any(volume.type in _LINUX for volume in volumes):
            return None
        root, found = _ask(settings, server, volumes, heartbeat)
    except (NotKnown, Unsuitable, DiskUnavailable, OSError, subprocess.SubprocessError) as error:
        log.info("drivers not known", server=server.id, reason=str(error))
        return None
    lists = {name: tuple(found[name]) for name in ("early", "later", "absent")}
    return root, Drivers(kernel=found["kernel"], initramfs=found["initramfs"], **lists)


def _volumes(server: Server, plans: Sequence[snapcore.Plan]) -> list[Volume]:
    volumes: list[Volume] = []
    for number, (disk, plan) in enumerate(zip(server.disks, plans, strict=True), start=1):
        volumes += volumes_of(number, disk.address, plan, table_of(disk.address))
    return volumes


def _ask(
    settings: Settings, server: Server, volumes: Sequence[Volume], heartbeat: Heartbeat
) -> tuple[int, dict[str, Any]]:
    with scratch(settings, server.host_name, f"inspection-{server.id}") as folder:
        reading = reading_of(settings, volumes, folder, heartbeat, only=PLACES)
        with reading:
            return reading.report["mounts"][0]["disk"], reading.drivers(NAMES)
