"""Asking for an export of a stored snapshot, on the snapshot's own page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from portal.domain.drivers import Drivers
from portal.domain.kinds import FACTS, Kind
from portal.domain.layout import Layout
from portal.domain.lifecycle import SnapshotState
from portal.queue import ANYWHERE
from portal.records import Server, Snapshot, SnapshotFile
from portal.records.file import FileRole
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.pages.scene import Scene, Tenant

EXPORTS = [kind for kind, facts in FACTS.items() if facts.export]


def _raw(scene: Scene, tenant: Tenant, *, size: int | None = None) -> int:
    """A complete raw snapshot, of a disk of this size."""
    number = scene.settled(tenant, SnapshotState.DONE)
    if size is not None:
        with scene.runtime.work() as work:
            for file in work.session.scalars(
                select(SnapshotFile).where(
                    SnapshotFile.snapshot_id == number, SnapshotFile.role == FileRole.IMAGE
                )
            ):
                file.source_size = size
            work.commit()
    return number


def _look(scene: Scene, number: int) -> Snapshot:
    with scene.runtime.work() as work:
        return work.session.get_one(Snapshot, number)


@pytest.mark.parametrize("kind", EXPORTS)
def test_it_is_noted_and_sent(scene: Scene, visit: Callable[..., Visitor], kind: Kind) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    visitor = visit(scene, tenant)
    page = words(visitor.get(f"/snapshots/{origin}"))
    assert FACTS[kind].label in page
    assert "A server can never be re-imaged from an export." in page
    answer = visitor.post(f"/snapshots/{origin}/export", kind=kind)
    assert (answer.status_code, answer.location) == (303, f"/servers/{tenant.server}/snapshots")
    made = _look(scene, origin + 1)
    assert (made.kind, made.origin_id, made.state) == (kind, origin, SnapshotState.QUEUED)
    assert (made.choices.skip_unused, made.choices.fixed) == (True, False)
    job = scene.job(made.id)
    assert job is not None
    assert job.queue == ANYWHERE
    assert "The export is on its way." in words(visitor.get(answer.location))


def test_the_choices_are_kept(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    visitor = visit(scene, tenant)
    visitor.post(f"/snapshots/{origin}/export", kind="vhd", fixed="yes", every_sector="yes")
    choices = _look(scene, origin + 1).choices
    assert (choices.skip_unused, choices.fixed) == (False, True)


def test_a_fixed_size_is_for_vhd_only(scene: Scene, visit: Callable[..., Visitor]) -> None:
    """The form hides the box for other formats, ticked or not."""
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    visit(scene, tenant).post(f"/snapshots/{origin}/export", kind="vmdk", fixed="yes")
    assert _look(scene, origin + 1).choices.fixed is False


@pytest.mark.parametrize(
    ("kind", "size", "reason"),
    [
        ("vhd", 2041 * 2**30, "cannot be a VHD, which ends at 2,040 GiB: use VHDX."),
        ("vhdx", 65 * 2**40, "cannot be a VHDX, which ends at 64 TiB."),
    ],
)
def test_what_a_disk_cannot_become_is_said_before(
    scene: Scene, visit: Callable[..., Visitor], kind: str, size: int, reason: str
) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant, size=size)
    visitor = visit(scene, tenant)
    page = visitor.get(f"/snapshots/{origin}")
    assert reason in words(page)
    assert re.search(rf'value="{kind}" required disabled', page.text)
    checked = re.findall(r'name="kind" value="(\w+)" required checked', page.text)
    assert checked == ["vmdk"]
    answer = visitor.post(f"/snapshots/{origin}/export", kind=kind)
    assert answer.status_code == 422
    assert reason in words(answer)


@pytest.mark.parametrize("kind", ["", "raw", "tar", "iso"])
def test_what_is_no_export_is_refused(
    scene: Scene, visit: Callable[..., Visitor], kind: str
) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    answer = visit(scene, tenant).post(f"/snapshots/{origin}/export", kind=kind)
    assert answer.status_code == 422
    assert "is no export" in words(answer)
    assert scene.job(origin + 1) is None


@pytest.mark.parametrize("state", [SnapshotState.BROKEN, SnapshotState.FAILED])
def test_only_a_complete_snapshot(
    scene: Scene, visit: Callable[..., Visitor], state: SnapshotState
) -> None:
    tenant = scene.tenant("Acme")
    origin = scene.settled(tenant, state, error="It broke.")
    visitor = visit(scene, tenant)
    assert f"/snapshots/{origin}/export" not in visitor.get(f"/snapshots/{origin}").text
    answer = visitor.post(f"/snapshots/{origin}/export", kind="vmdk")
    assert answer.status_code == 409
    assert "Only a raw snapshot that is complete can be exported." in words(answer)


def test_twice_is_refused_in_plain_words(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    visitor = visit(scene, tenant)
    visitor.post(f"/snapshots/{origin}/export", kind="vmdk")
    answer = visitor.post(f"/snapshots/{origin}/export", kind="vhd")
    assert answer.status_code == 409
    assert "Another job is active" in words(answer)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_wrong_method(scene: Scene, visit: Callable[..., Visitor], method: str) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    visitor = visit(scene, tenant)
    path = f"/snapshots/{origin}/export"
    answer = getattr(visitor.client, method)(path, environ_base=visitor.environ)
    assert answer.status_code in {400, 405}
    assert scene.job(origin + 1) is None


def test_somebody_elses_snapshot_is_not_there(scene: Scene, visit: Callable[..., Visitor]) -> None:
    mine, other = scene.tenant("Acme"), scene.tenant("Other")
    origin = _raw(scene, other)
    answer = visit(scene, mine).post(f"/snapshots/{origin}/export", kind="vmdk")
    assert answer.status_code == 404
    assert scene.job(origin + 1) is None


def test_drivers_that_the_server_lacks_are_said_before(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    origin = _raw(scene, tenant)
    drivers = Drivers("6.1.0-18-amd64", "initrd.img-6.1.0-18-amd64", absent=("mptspi",))
    with scene.runtime.work() as work:
        [disk] = work.session.get_one(Server, tenant.server).disks
        disk.layout = Layout(size=1 << 30, to_read=1 << 20, drivers=drivers).as_text()
        work.commit()
    page = visit(scene, tenant).get(f"/snapshots/{origin}").text
    vmdk = page.partition('value="vmdk"')[2].partition("</label>")[0]
    assert "(kernel 6.1.0-18-amd64) hold no driver for VMware" in vmdk
    assert page.count("start-up files") == 1
