"""Operating systems by the names that importers know."""

from __future__ import annotations

import pytest

from portal.domain.guest_types import guest_type


@pytest.mark.parametrize(
    ("name", "cim", "vmware"),
    [
        ("Debian 12", 96, "debian10_64Guest"),
        ("Debian GNU/Linux 9 (stretch)", 96, "debian9_64Guest"),
        ("Ubuntu 24.04 LTS", 94, "ubuntu64Guest"),
        ("CentOS 5", 107, "centos64Guest"),
        ("CentOS 7.9", 107, "centos7_64Guest"),
        ("Rocky Linux 9", 107, "centos8_64Guest"),
        ("AlmaLinux 8", 107, "centos8_64Guest"),
        ("Red Hat Enterprise Linux 8", 80, "rhel8_64Guest"),
        ("RHEL 10", 80, "rhel8_64Guest"),
        ("Red Hat", 80, "rhel7_64Guest"),
        ("Oracle Linux 8", 109, "oracleLinux8_64Guest"),
        ("openSUSE Leap 15", 85, "sles15_64Guest"),
        ("Gentoo Linux", 101, "otherLinux64Guest"),
        ("Windows Server 2008 R2", 103, "windows7Server64Guest"),
        ("Windows 2008", 77, "winLonghorn64Guest"),
        ("Microsoft Windows Server 2012 R2", 115, "windows8Server64Guest"),
        ("Windows Server 2012", 112, "windows8Server64Guest"),
        ("Windows Server 2022", 118, "windows9Server64Guest"),
        ("Windows 10 Pro", 120, "windows9_64Guest"),
        ("Windows", 118, "windows9Server64Guest"),
        ("FreeBSD 14", 102, "otherGuest64"),
        ("", 102, "otherGuest64"),
    ],
)
def test_the_nearest_that_is_known(name: str, cim: int, vmware: str) -> None:
    found = guest_type(name)
    assert (found.cim, found.vmware) == (cim, vmware)
    assert found.words
