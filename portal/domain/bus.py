"""Which bus the disks of an OVA hang on: its description has to name one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.compatibility import starts_from_ide
from portal.domain.controllers import drivers_of
from portal.domain.drivers import Controller
from portal.domain.ovf import Bus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.domain.layout import Layout


_IN_ORDER = (
    (Controller.LSI_LOGIC, Bus.LSILOGIC),
    (Controller.SATA, Bus.SATA),
    (Controller.IDE, Bus.IDE),
)


def bus_of(operating_system: str, layouts: Sequence[Layout | None]) -> Bus:
    """The bus that a server most surely starts from, by its system's name and its disks' layouts.

    Windows, and CentOS 5, start from IDE. Another starts from LSI Logic, VMware's and VirtualBox's
    usual controller, unless its drivers are known and reach only another.
    """
    if starts_from_ide(operating_system):
        return Bus.IDE
    drivers = drivers_of(layouts)
    if drivers is None or not drivers.lacks(Controller.LSI_LOGIC):
        return Bus.LSILOGIC
    return next((bus for one, bus in _IN_ORDER if drivers.has(one)), Bus.LSILOGIC)
