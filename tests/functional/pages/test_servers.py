"""The servers list and a server's manage page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import SnapshotState
from portal.records import Account
from portal.services import servers
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.pages.scene import Scene

NAMES = [
    "web 1",
    "a/b\\c",
    "\"quoted\" & 'single' <b>bold</b>",
    "サーバー 日本",
    "x" * 255,
    "é" * 127,
    "../etc",
    "100% & #1?",
]


def test_a_customer_sees_their_own_only(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    mine = any_scene.tenant("Acme", server_name="mine")
    any_scene.tenant("Other", server_name="theirs")
    page = words(visit(any_scene, mine).get("/servers"))
    assert "mine" in page
    assert "1 server" in page
    assert "theirs" not in page


def test_support_sees_all_with_the_account_named(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    scene.tenant("Acme", server_name="one")
    theirs = scene.tenant("Other & Co", server_name="two")
    visitor = visit(scene, scene.support_user())
    page = words(visitor.get("/servers"))
    for expected in ("Acme", "one", "Other & Co", "two"):
        assert expected in page
    manage = words(visitor.get(f"/servers/{theirs.server}"))
    assert "Other & Co" in manage
    assert "/srv/disks/web-1.img" in manage


def test_where_disks_lie_is_nothing_for_customers(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    page = visit(scene, tenant).get(f"/servers/{tenant.server}")
    assert "Disk 1" in words(page)
    assert "/srv/disks" not in page.text


def test_somebody_elses_server_is_not_there(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    other = scene.tenant("Other")
    theirs = visitor.get(f"/servers/{other.server}")
    nobodys = visitor.get("/servers/999999")
    assert theirs.status_code == nobodys.status_code == 404
    assert words(theirs) == words(nobodys)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_shown_as_it_is(scene: Scene, visit: Callable[..., Visitor], name: str) -> None:
    tenant = scene.tenant(name, server_name=name, store_name=name)
    visitor = visit(scene, tenant)
    for path in ("", f"/{tenant.server}", f"/{tenant.server}/snapshots"):
        answer = visitor.get(f"/servers{path}")
        assert name in words(answer) or " ".join(name.split()) in words(answer)
        assert "<b>bold" not in answer.text


def test_no_servers(scene: Scene, visit: Callable[..., Visitor]) -> None:
    assert "No servers yet" in words(visit(scene, scene.support_user()).get("/servers"))


def test_many_servers_are_paged_and_found(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme", server_name="alpha")
    with any_scene.runtime.work() as work:
        account = work.session.get_one(Account, tenant.account)
        for number in range(60):
            servers.add(
                work,
                any_scene.support,
                account=account,
                name=f"web-{number:02} 5%_",
                operating_system="",
                host="host-1",
                disks=[("file", "/disk")],
            )
        work.commit()
    visitor = visit(any_scene, tenant)
    first = words(visitor.get("/servers"))
    assert "61 servers" in first
    assert "Page 1 of 2" in first
    assert "web-59" not in first
    assert "web-59" in words(visitor.get("/servers?page=2"))
    assert "Page 2 of 2" in words(visitor.get("/servers?page=99999"))
    assert "Page 1 of 2" in words(visitor.get("/servers?page=-1"))
    found = words(visitor.get("/servers?q=WEB-07"))
    assert "web-07" in found
    assert "web-08" not in found
    # % and _ are themselves, not wildcards.
    assert "No server is called that" in words(visitor.get("/servers?q=w%25b"))
    assert "61 servers" not in words(visitor.get("/servers?q=5%25_"))
    assert visitor.get("/servers?q=%00").status_code == 200


def test_the_newest_snapshot_stands_in_the_list(
    any_scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = any_scene.tenant("Acme")
    visitor = visit(any_scene, tenant)
    assert "None yet" in words(visitor.get("/servers"))
    any_scene.settled(tenant, SnapshotState.DONE)
    any_scene.settled(tenant, SnapshotState.FAILED, error="It did not work.")
    page = words(visitor.get("/servers"))
    assert "Failed" in page
    assert "Done" not in page


def test_the_host_is_told_of(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    path = f"/servers/{tenant.server}"
    assert "Not seen since it was added" in words(visitor.get(path))
    scene.host_lives()
    assert "Ready for snapshots" in words(visitor.get(path))
    scene.host_lives(seconds_ago=400)
    assert "(6 min ago)" in words(visitor.get(path))
