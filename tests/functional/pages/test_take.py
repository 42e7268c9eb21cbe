"""Asking for a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.domain.drivers import Drivers
from portal.domain.layout import Layout
from portal.domain.lifecycle import SnapshotState
from portal.records import Server
from tests.functional.pages.scene import Scene, Tenant
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _page(tenant: Tenant) -> str:
    return f"/servers/{tenant.server}/snapshots"


def test_it_is_noted_and_sent(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    visitor = visit(any_scene, tenant)
    answer = visitor.post(_page(tenant), store=str(tenant.store), kind="raw")
    assert (answer.status_code, answer.location) == (303, _page(tenant))
    page = words(visitor.get(_page(tenant)))
    assert "The snapshot is on its way" in page
    assert "Queued" in page
    job = any_scene.job(1)
    assert job is not None
    assert job.enqueued_at is not None
    assert any_scene.runtime.queue.waits(job.id)


def test_asking_again_is_refused_in_plain_words(
    any_scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = any_scene.tenant("Acme")
    visitor = visit(any_scene, tenant)
    visitor.post(_page(tenant), store=str(tenant.store), kind="raw")
    answer = visitor.post(_page(tenant), store=str(tenant.store), kind="raw")
    assert answer.status_code == 409
    assert "Another job is active" in words(answer)
    assert words(visitor.get(_page(tenant))).count("Queued") == 1


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_wrong_method(scene: Scene, visit: Callable[..., Visitor], method: str) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    answer = getattr(visitor.client, method)(_page(tenant), environ_base=visitor.environ)
    assert answer.status_code in {400, 405}
    assert scene.job(1) is None


def test_somebody_elses_server_is_not_there(scene: Scene, visit: Callable[..., Visitor]) -> None:
    mine, other = scene.tenant("Acme"), scene.tenant("Other")
    answer = visit(scene, mine).post(_page(other), store=str(other.store), kind="raw")
    assert answer.status_code == 404
    assert scene.job(1) is None


@pytest.mark.parametrize("store", ["theirs", "999999", "", "x", "-1", "٣", "9" * 40])
def test_a_store_that_is_not_theirs(
    any_scene: Scene, visit: Callable[..., Visitor], store: str
) -> None:
    mine, other = any_scene.tenant("Acme"), any_scene.tenant("Other")
    given = str(other.store) if store == "theirs" else store
    answer = visit(any_scene, mine).post(_page(mine), store=given, kind="raw")
    assert answer.status_code == 422
    assert "There is no such store." in words(answer)
    assert 'aria-describedby="store-error"' in answer.text
    assert any_scene.job(1) is None


def test_support_cannot_send_a_server_into_another_accounts_store(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    mine, other = scene.tenant("Acme"), scene.tenant("Other")
    visitor = visit(scene, scene.support_user())
    assert visitor.post(_page(mine), store=str(other.store), kind="raw").status_code == 422
    assert visitor.post(_page(mine), store=str(mine.store), kind="raw").status_code == 303


@pytest.mark.parametrize("kind", ["", "floppy", "raw\0"])
def test_an_unknown_image_type(scene: Scene, visit: Callable[..., Visitor], kind: str) -> None:
    tenant = scene.tenant("Acme")
    other_store = scene.another_store(tenant, "Second")
    answer = visit(scene, tenant).post(_page(tenant), store=str(other_store), kind=kind)
    assert answer.status_code == 422
    assert "is no image type" in words(answer)
    # What was chosen stays chosen.
    assert f'<option value="{other_store}" selected>' in answer.text


def test_no_token(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    answer = visit(scene, tenant).post(_page(tenant), token="", store=str(tenant.store), kind="raw")
    assert answer.status_code == 400
    assert scene.job(1) is None


def test_without_redis_it_is_noted_and_said(
    data_folder: Path, sqlite_url: str, free_port: int, visit: Callable[..., Visitor]
) -> None:
    scene = Scene(data_folder, sqlite_url, f"redis://127.0.0.1:{free_port}/0")
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    assert "The job queue does not answer." in words(visitor.get(_page(tenant)))
    visitor.post(_page(tenant), store=str(tenant.store), kind="raw")
    assert "It starts by itself when the job queue is back." in words(visitor.get(_page(tenant)))
    assert scene.state(1) is SnapshotState.QUEUED
    scene.close()


def test_the_form_says_why_it_waits(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    assert "has not been seen yet" in words(visitor.get(_page(tenant)))
    scene.host_lives(seconds_ago=90)
    assert "it starts when the host is back" in words(visitor.get(_page(tenant)))
    scene.host_lives()
    assert "host has" not in words(visitor.get(_page(tenant)))
    number = scene.take(tenant)
    page = visitor.get(_page(tenant))
    assert "is waiting to start. The next one can begin when that has ended." in words(page)
    assert "Take snapshot" not in words(page)
    scene.claim(number)
    assert "A snapshot of this server is being taken." in words(visitor.get(_page(tenant)))


def test_without_a_store_it_says_what_to_do(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    with scene.runtime.work() as work:
        from portal.records import StoreRecord

        work.session.delete(work.session.get_one(StoreRecord, tenant.store))
        work.commit()
    page = words(visit(scene, tenant).get(_page(tenant)))
    assert "There is no store yet" in page
    assert "Take snapshot" not in page


def test_the_form_offers_the_accounts_stores_only(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    mine = scene.tenant("Acme", store_name="Mine")
    scene.tenant("Other", store_name="Theirs")
    for who in (mine, scene.support_user()):
        page = words(visit(scene, who).get(_page(mine)))
        assert "Mine" in page
        assert "Theirs" not in page


def test_each_export_warns_of_the_driver_that_it_lacks(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    """Beside the choice; a kind whose driver is there is offered without a word."""
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    assert "start-up files" not in words(visitor.get(_page(tenant)))
    with scene.runtime.work() as work:
        [disk] = work.session.get_one(Server, tenant.server).disks
        disk.layout = Layout(
            size=1 << 30,
            to_read=1 << 20,
            drivers=Drivers(
                kernel="6.1.0-18-amd64",
                initramfs="initrd.img-6.1.0-18-amd64",
                early=("hv_vmbus", "hv_storvsc", "sd_mod", "ata_piix"),
                absent=("mptspi",),
            ),
        ).as_text()
        work.commit()
    page = visitor.get(_page(tenant)).text
    raw, vmdk, vhd = (_choice(page, kind) for kind in ("raw", "vmdk", "vhd"))
    assert "(kernel 6.1.0-18-amd64) hold no driver for VMware" in vmdk
    assert "attach the disk as IDE instead." in vmdk
    assert "start-up files" not in raw + vhd


def _choice(page: str, kind: str) -> str:
    """One kind of the form, with what is said of it."""
    return page.partition(f'name="kind" value="{kind}"')[2].partition("</label>")[0]
