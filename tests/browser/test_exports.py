"""Exports, as somebody with a keyboard asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from portal.domain.lifecycle import SnapshotState
from portal.records import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Live


def _snapshot(live: Live, number: int) -> Snapshot:
    with live.runtime.work() as work:
        return work.session.get_one(Snapshot, number)


def test_of_a_server(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    live.host_lives()
    page = open_page(tenant, viewport={"width": 360, "height": 800})
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    vhd = page.get_by_role("radio", name="VHD For Virtual PC")
    fixed = page.get_by_role("checkbox", name="Fixed size")
    expect(vhd).to_be_hidden()
    page.get_by_text("Exports, for other virtualisation").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("A server can never be re-imaged from an export.")).to_be_visible()
    expect(fixed).to_be_hidden()
    vhd.focus()
    page.keyboard.press("Space")
    expect(fixed).to_be_visible()
    assert Axe().run(page).violations_count == 0
    fixed.check()
    page.get_by_role("button", name="Take snapshot").click()
    expect(page.get_by_text("The snapshot is on its way")).to_be_visible()
    taken = _snapshot(live, 1)
    assert (taken.kind, taken.choices.fixed) == ("vhd", True)


def test_a_refusal_leaves_the_choice_open(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    page = open_page(tenant)
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    page.get_by_text("Exports, for other virtualisation").click()
    page.get_by_role("radio", name="OVA").check()
    page.locator("#store option").evaluate("option => { option.value = '999' }")
    page.get_by_role("button", name="Take snapshot").click()
    expect(page.get_by_text("There is no such store.")).to_be_visible()
    expect(page.get_by_role("radio", name="OVA")).to_be_checked()


def test_of_a_stored_snapshot(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    origin = live.settled(tenant, SnapshotState.DONE)
    page = open_page(tenant)
    page.goto(f"{live.url}/snapshots/{origin}")
    expect(page.get_by_role("radio", name="VMDK")).to_be_checked()
    page.get_by_role("radio", name="QCOW2").check()
    expect(page.get_by_role("checkbox", name="Fixed size")).to_be_hidden()
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_text("The export is on its way. The server is not touched.")).to_be_visible()
    made = _snapshot(live, origin + 1)
    assert (made.kind, made.origin_id) == ("qcow2", origin)
    page.goto(f"{live.url}/snapshots/{made.id}")
    expect(page.get_by_text("a server can never be re-imaged from it")).to_be_visible()
    expect(page.get_by_role("link", name="the snapshot of")).to_be_visible()
