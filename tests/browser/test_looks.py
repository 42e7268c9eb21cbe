"""Every page, light and dark, wide and narrow: axe finds nothing, nothing sticks out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from portal.domain.drivers import NAMES, Drivers
from portal.domain.lifecycle import SnapshotState
from portal.records import Server
from portal.records.declarative import now
from tests.functional.pages.scene import GIB
from tests.functional.pages.test_disks import LAYOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Live
    from tests.functional.pages.scene import Tenant

LONG = "a/b \"c\" 'd' <e> 日本 " + "x" * 220
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def _every_page(live: Live) -> tuple[str, list[str]]:
    """Somebody's e-mail address, and paths that show every state."""
    tenant = live.tenant("Acme " + LONG, server_name=LONG, store_name="Store " + LONG)
    live.host_lives(seconds_ago=300)
    done = live.settled(tenant, SnapshotState.DONE, days_ago=1)
    broken = live.settled(tenant, SnapshotState.BROKEN, error="The disk failed. " + "y" * 300)
    live.settled(tenant, SnapshotState.FAILED, error="The store is full.")
    live.settled(tenant, SnapshotState.CANCELLED)
    empty = live.tenant("Empty")
    looked_at = live.tenant("Looked at")
    for one in (tenant, looked_at):
        _look_at(live, one)
    running = live.take(tenant)
    live.report(live.claim(running), GIB, 4 * GIB)
    queued = live.take(empty)
    return live.support_user(), [
        "/servers",
        "/servers?q=nothing",
        f"/servers/{tenant.server}",
        f"/servers/{tenant.server}/snapshots",
        f"/servers/{tenant.server}/snapshots?before=1",
        f"/servers/{empty.server}/snapshots",
        f"/servers/{looked_at.server}",
        f"/servers/{looked_at.server}/snapshots",
        f"/snapshots/{done}",
        f"/snapshots/{done}/readme",
        f"/snapshots/{broken}",
        f"/snapshots/{broken}/delete",
        f"/snapshots/{running}",
        f"/snapshots/{queued}",
        "/account",
        "/nowhere",
    ]


def _look_at(live: Live, tenant: Tenant) -> None:
    """Exports warn of the server, by a version of its kernel that has no place to break."""
    kernel = "6.1.0-18-" + "x" * 55
    drivers = Drivers(kernel, f"initrd.img-{kernel}", early=("sd_mod",), absent=NAMES)
    layout = replace(LAYOUT, drivers=drivers)
    with live.runtime.work() as work:
        [disk] = work.session.get_one(Server, tenant.server).disks
        disk.layout, disk.size, disk.inspected_at = layout.as_text(), layout.size, now()
        work.commit()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 1000, 700, 360])
def test_axe_finds_nothing_and_nothing_sticks_out(
    live: Live, open_page: Callable[..., Page], scheme: str, width: int
) -> None:
    email, paths = _every_page(live)
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    stranger = open_page(**options)
    stranger.goto(f"{live.url}/sign-in")
    _check(stranger)
    page = open_page(email, **options)
    for path in paths:
        page.goto(f"{live.url}{path}")
        _check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_and_its_refusals(live: Live, open_page: Callable[..., Page], scheme: str) -> None:
    tenant = live.tenant("Acme")
    live.settled(tenant, SnapshotState.DONE)
    _look_at(live, tenant)
    page = open_page(tenant, color_scheme=scheme)
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    _check(page)
    page.get_by_role("radio", name="Tar archive").check()
    page.get_by_label("Leave out").wait_for()
    _check(page)
    page.get_by_role("radio", name="Raw image").check()
    page.get_by_role("link", name="Delete the snapshot of").click()
    page.wait_for_selector("dialog[open]")
    _check(page)
    page.keyboard.press("Escape")
    page.locator("#store option").evaluate("option => { option.value = '999' }")
    page.get_by_role("button", name="Take snapshot").click()
    page.get_by_text("There is no such store.").wait_for()
    _check(page)
    page.goto(f"{live.url}/account")
    page.get_by_label("Present password").fill("wrong")
    page.get_by_label("New password", exact=True).fill("something longer")
    page.get_by_label("New password, again").fill("something longer")
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("That is not your present password.").wait_for()
    _check(page)


def test_less_motion_when_asked_for(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    live.claim(live.take(tenant))
    page = open_page(tenant, reduced_motion="reduce")
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    bar = page.get_by_role("progressbar")
    assert bar.evaluate("element => getComputedStyle(element).animationName") == "none"


def _check(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
    assert page.evaluate(WIDER) <= 0, f"{page.url} is wider than the window"
