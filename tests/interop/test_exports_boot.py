"""The bootable Debian disk, exported without its unused space: each format starts in QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import snapcore

from portal.domain import ovf
from portal.domain.guest_types import guest_type
from tests.interop.boot import boot_to_login
from tests.interop.images import run, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNIQUE = bytes(range(16))


def ova(plan: snapcore.Plan) -> snapcore.Stream:
    machine = ovf.Machine(
        name="web-1",
        guest=guest_type("Debian 12"),
        bus=ovf.Bus.LSILOGIC,
        uefi=False,
        disks=[("web-1-disk1.vmdk", plan.size)],
    )
    return snapcore.ova([(plan, 1)], name="web-1", ovf=ovf.write_ovf(machine), modified=0)


FORMATS: dict[str, tuple[Callable[[snapcore.Plan], snapcore.Stream], str]] = {
    "vmdk": (lambda plan: plan.vmdk(name="web-1.vmdk", cid=1), "vmdk"),
    "vhd": (lambda plan: plan.vhd(unique_id=UNIQUE, created=0), "vpc"),
    "vhdx": (lambda plan: plan.vhdx(unique_id=UNIQUE), "vhdx"),
    "qcow2": (lambda plan: plan.qcow2(), "qcow2"),
    "ova": (ova, "vmdk"),
}
"""How each is made, and what QEMU calls the disk in it."""

# Without KVM, starting takes up to minutes; the first run makes the disk.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("kind", FORMATS)
def test_it_starts(debian_disk: Path, tmp_path: Path, kind: str) -> None:
    make, form = FORMATS[kind]
    image = tmp_path / f"web-1.{kind}"
    with snapcore.Disk(debian_disk) as disk, make(disk.plan(skip_unused=True)) as stream:
        write(stream, image)
    if kind == "ova":
        run("tar", "--extract", "--file", image, "--directory", tmp_path, "web-1-disk1.vmdk")
        image = tmp_path / "web-1-disk1.vmdk"
    assert boot_to_login(image, form=form).endswith("snapport-debian login: ")
