"""What exported machines want of the virtualisation they go to, by operating system."""

from __future__ import annotations

import re

from portal.domain.fitting import is_windows

_WINDOWS_BUS = (
    "Windows starts only from a disk bus that it has drivers for. Try IDE first: nearly every"
    " Windows has them; then SATA, SAS or SCSI."
)
_WINDOWS_APIC = (
    "If it stops with a blue screen, or hangs at loading crcdisk.sys, change the setting “IO APIC”"
    " of the virtual machine: some versions need it, some do not start with it."
)
_WINDOWS_2008 = "Windows 2008: IO APIC off on KVM, on in VirtualBox."
_CENTOS_5 = "CentOS 5 starts only from an IDE disk bus."


def starts_from_ide(operating_system: str) -> bool:
    """Whether IDE is the disk bus to choose: Windows has drivers for it, and CentOS 5 no others."""
    return is_windows(operating_system) or _is_centos_5(operating_system)


def notes_for(operating_system: str) -> list[str]:
    """Sentences for whoever runs the export of such a server; none where nothing is known."""
    name = operating_system.lower()
    notes = [_WINDOWS_BUS, _WINDOWS_APIC] if is_windows(name) else []
    if is_windows(name) and re.search(r"\b2008\b", name):
        notes.append(_WINDOWS_2008)
    if _is_centos_5(name):
        notes.append(_CENTOS_5)
    return notes


def _is_centos_5(operating_system: str) -> bool:
    return re.search(r"\b(centos|red hat|rhel)\D*5\b", operating_system.lower()) is not None
