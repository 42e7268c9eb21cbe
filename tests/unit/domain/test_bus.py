"""Which bus an OVA names."""

from __future__ import annotations

import pytest

from portal.domain.bus import bus_of
from portal.domain.compatibility import notes_for
from portal.domain.drivers import NAMES, Drivers
from portal.domain.layout import Layout
from portal.domain.ovf import Bus


def layout(early: str) -> Layout:
    absent = tuple(name for name in NAMES if name not in early.split())
    drivers = Drivers("6.1", "initrd.img-6.1", early=tuple(early.split()), absent=absent)
    return Layout(size=1000, to_read=500, drivers=drivers)


@pytest.mark.parametrize(
    ("system", "early", "bus"),
    [
        ("Windows Server 2022", None, Bus.IDE),
        ("Windows 2008", "mptspi sd_mod", Bus.IDE),
        ("CentOS 5.11", None, Bus.IDE),
        ("Red Hat Enterprise Linux 5", None, Bus.IDE),
        ("RHEL5", "mptspi sd_mod", Bus.IDE),
        ("CentOS 7.5", None, Bus.LSILOGIC),
        ("Debian 12", None, Bus.LSILOGIC),
        ("", None, Bus.LSILOGIC),
        ("Debian 12", "mptspi ahci ata_piix sd_mod", Bus.LSILOGIC),
        ("Debian 12", "ahci ata_piix sd_mod", Bus.SATA),
        ("Rocky Linux 9", "ahci sd_mod", Bus.SATA),
        ("Debian 12", "ata_piix sd_mod", Bus.IDE),
        ("Debian 12", "virtio_pci virtio_blk", Bus.LSILOGIC),
    ],
)
def test_the_bus(system: str, early: str | None, bus: Bus) -> None:
    layouts = [None] if early is None else [None, layout(early)]
    assert bus_of(system, layouts) is bus


def test_only_the_fifth_centos_is_told_of_ide() -> None:
    assert any("IDE" in note for note in notes_for("CentOS release 5.11 (Final)"))
    assert notes_for("CentOS 7.5") == []
    assert notes_for("CentOS 6") == []
