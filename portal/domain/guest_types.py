"""What other virtualisation calls an operating system, from the name that the server has here.

Numbers are those of DMTF's CIM_OperatingSystem; VMware's own names are of the versions that its
products of 2018 know, so that no importer asks about a name it never heard of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portal.domain.fitting import is_linux, is_windows


@dataclass(frozen=True, slots=True)
class GuestType:
    """A 64-bit operating system as OVF names it: `cim` a number, `vmware` VMware's own name."""

    cim: int
    vmware: str
    words: str


_OTHER = GuestType(102, "otherGuest64", "Other (64-bit)")
_LINUX = GuestType(101, "otherLinux64Guest", "Other Linux (64-bit)")

_WINDOWS = (
    (r"server.*2022", GuestType(118, "windows9Server64Guest", "Windows Server 2022")),
    (r"server.*2019", GuestType(118, "windows9Server64Guest", "Windows Server 2019")),
    (r"server.*2016", GuestType(118, "windows9Server64Guest", "Windows Server 2016")),
    (r"2012 r2", GuestType(115, "windows8Server64Guest", "Windows Server 2012 R2")),
    (r"2012", GuestType(112, "windows8Server64Guest", "Windows Server 2012")),
    (r"2008 r2", GuestType(103, "windows7Server64Guest", "Windows Server 2008 R2")),
    (r"2008", GuestType(77, "winLonghorn64Guest", "Windows Server 2008")),
    (r"2003", GuestType(70, "winNetStandard64Guest", "Windows Server 2003")),
    (r"windows 1[01]\b", GuestType(120, "windows9_64Guest", "Windows 10")),
    (r"windows 8", GuestType(114, "windows8_64Guest", "Windows 8")),
    (r"windows 7", GuestType(105, "windows7_64Guest", "Windows 7")),
    (r"", GuestType(118, "windows9Server64Guest", "Windows Server")),
)
"""The first that is found counts; the last is for a Windows that says no more."""

_LINUXES = (
    ("debian", 96, "debian{version}_64Guest", range(4, 11), "debian10_64Guest", "Debian"),
    ("ubuntu", 94, "ubuntu64Guest", range(0), "ubuntu64Guest", "Ubuntu"),
    ("centos", 107, "centos{version}_64Guest", range(6, 9), "centos64Guest", "CentOS"),
    ("rocky", 107, "centos8_64Guest", range(0), "centos8_64Guest", "Rocky Linux"),
    ("alma", 107, "centos8_64Guest", range(0), "centos8_64Guest", "AlmaLinux"),
    ("red hat", 80, "rhel{version}_64Guest", range(4, 9), "rhel7_64Guest", "Red Hat"),
    ("rhel", 80, "rhel{version}_64Guest", range(4, 9), "rhel7_64Guest", "Red Hat"),
    ("oracle", 109, "oracleLinux{version}_64Guest", range(6, 9), "oracleLinux64Guest", "Oracle"),
    ("suse", 85, "sles{version}_64Guest", range(10, 16), "sles12_64Guest", "SUSE"),
)
"""Name, CIM's number, VMware's name with a version, for which versions, its name else, words."""


def guest_type(operating_system: str) -> GuestType:
    """The nearest that importers know; never fails."""
    name = operating_system.lower()
    if is_windows(name):
        return next(kind for pattern, kind in _WINDOWS if re.search(pattern, name))
    for word, cim, versioned, versions, plain, words in _LINUXES:
        if word in name:
            found = re.search(r"\d+", name.partition(word)[2])
            version = min(int(found[0]), max(versions, default=0)) if found else None
            vmware = versioned.format(version=version) if version in versions else plain
            return GuestType(cim, vmware, f"{words} (64-bit)")
    return _LINUX if is_linux(name) else _OTHER
