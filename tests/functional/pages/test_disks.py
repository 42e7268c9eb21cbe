"""The manage page's disks: what a worker found, and asking for another look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.layout import Layout, Partition
from portal.records import Server
from portal.records.declarative import now
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.pages.scene import Scene

LAYOUT = Layout(
    size=2 << 30,
    to_read=300 << 20,
    table="gpt",
    partitions=(
        Partition(number=1, start=1 << 20, length=1 << 30, file_system="ext4", used=200 << 20),
        Partition(
            number=2, start=1 << 30, length=1 << 20, file_system="LUKS", reason="It is encrypted."
        ),
    ),
)


def test_partitions_and_reasons_are_shown(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    with scene.runtime.work() as work:
        [disk] = work.session.get_one(Server, tenant.server).disks
        disk.layout, disk.size, disk.inspected_at = LAYOUT.as_text(), LAYOUT.size, now()
        work.commit()
    page = words(visit(scene, tenant).get(f"/servers/{tenant.server}"))
    assert "ext4" in page
    assert "Clean: unused space is left out" in page
    assert "Taken whole. It is encrypted." in page


def test_nobody_has_looked_yet(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    assert "Nobody has looked at it yet." in words(
        visit(scene, tenant).get(f"/servers/{tenant.server}")
    )


def test_asking_twice_is_one_look(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    for _ in range(2):
        assert visitor.post(f"/servers/{tenant.server}/disks").status_code == 303
    page = visitor.get(f"/servers/{tenant.server}")
    assert "is looking at the disks" in words(page)
    assert visitor.get(f"/servers/{tenant.server}/disks").status_code == 204


def test_somebody_elses_disks(scene: Scene, visit: Callable[..., Visitor]) -> None:
    theirs = scene.tenant("Other")
    visitor = visit(scene, scene.tenant("Acme"))
    assert visitor.post(f"/servers/{theirs.server}/disks").status_code == 404
    assert visitor.get(f"/servers/{theirs.server}/disks").status_code == 404
