"""Whether guests run under KVM here: a device that is there says little, so one is booted.

The answer holds until the host boots again, and is noted in the data folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from worker.filesystems.guestfish import Failed, Guestfish

if TYPE_CHECKING:
    from worker.heartbeat import Heartbeat

log = structlog.get_logger()

_DEVICE = "/dev/kvm"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SECONDS = 60
"""A machine with KVM is up in three."""


def works(data: Path, scratch: Path, heartbeat: Heartbeat) -> bool:
    """What is noted for this boot of the host, else what a machine that is booted now tells."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False
    boot = _BOOT.read_text().strip()
    note = data / "kvm"
    try:
        noted, _, answer = note.read_text().partition(" ")
    except FileNotFoundError:
        noted = answer = ""
    if noted != boot or answer not in {"yes", "no"}:
        answer = "yes" if _boots(scratch, heartbeat) else "no"
        log.info("KVM was tried", works=answer)
        note.write_text(f"{boot} {answer}")
    return answer == "yes"


def _boots(scratch: Path, heartbeat: Heartbeat) -> bool:
    guest = Guestfish([os.devnull], scratch, heartbeat, kvm=True)
    try:
        return guest.ask("run", seconds=_SECONDS) is not None
    except Failed:
        return False
    finally:
        guest.close()
        guest.let_go()
