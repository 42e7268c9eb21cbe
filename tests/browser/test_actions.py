"""Cancelling and deleting with a mouse, with a keyboard, and without JavaScript."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from portal.domain.lifecycle import SnapshotState
from tests.functional.pages.scene import GIB, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import Live

MARK = "document.body.dataset.mark = 'not reloaded'"
MARKED = "document.body.dataset.mark === 'not reloaded'"


def _tab_to(page: Page, target: Locator, most: int = 40) -> None:
    """Press Tab until the target has the focus, as somebody without a mouse does."""
    for _ in range(most):
        if target.evaluate("element => element === document.activeElement"):
            # What has the focus can be seen to have it.
            assert target.evaluate("element => getComputedStyle(element).outlineStyle") != "none"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {target}")


def test_cancel_on_the_spot(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    number = live.take(tenant)
    lease = live.claim(number)
    live.report(lease, GIB, 4 * GIB)
    page = open_page(tenant)
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    page.evaluate(MARK)
    page.get_by_role("button", name="Cancel the snapshot").click()
    line = page.locator(f"#snapshot-{number}")
    expect(line).to_contain_text("Cancelling…")
    expect(page.get_by_role("button", name="Cancel the snapshot")).to_have_count(0)
    assert live.report(lease, GIB, 4 * GIB)
    live.end(number, lease, SnapshotState.CANCELLED)
    expect(line).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Take snapshot")).to_be_visible()
    assert page.evaluate(MARKED)


def test_delete_asks_first(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    number = live.settled(tenant, SnapshotState.DONE)
    page = open_page(tenant)
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    cross = page.get_by_role("link", name="Delete the snapshot of")
    dialog = page.get_by_role("dialog", name="Delete this snapshot?")
    for leave in (
        lambda: page.keyboard.press("Escape"),
        lambda: dialog.get_by_role("link", name="Keep it").click(),
        lambda: page.mouse.click(5, 5),
    ):
        cross.click()
        expect(dialog).to_be_visible()
        expect(dialog).to_contain_text("nothing can be downloaded or restored from it any more")
        leave()
        expect(dialog).to_be_hidden()
        expect(cross).to_be_focused()
    assert live.state(number) is SnapshotState.DONE

    cross.click()
    dialog.get_by_role("button", name="Delete snapshot").click()
    expect(page.get_by_text("The snapshot is being deleted.")).to_be_visible()
    assert live.state(number) is SnapshotState.DELETING
    live.end(number, live.claim(number), SnapshotState.GONE)
    expect(page.get_by_text("No snapshots yet")).to_be_visible()


def test_by_keyboard_alone(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    page = open_page()
    page.goto(live.url)
    # The first field has the focus already.
    page.keyboard.type(tenant.email)
    _tab_to(page, page.get_by_label("Password"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/servers")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    _tab_to(page, page.get_by_role("link", name=tenant.server_name))
    page.keyboard.press("Enter")
    page.wait_for_url("**/servers/*")
    _tab_to(page, page.get_by_role("link", name="Server snapshots"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/snapshots")
    _tab_to(page, page.get_by_role("button", name="Take snapshot"))
    page.keyboard.press("Enter")
    expect(page.locator("#snapshot-1")).to_contain_text("Queued")
    _tab_to(page, page.get_by_role("button", name="Cancel the snapshot"))
    page.keyboard.press("Enter")
    expect(page.locator("#snapshot-1")).to_contain_text("Cancelled")
    _tab_to(page, page.get_by_role("link", name="Delete the snapshot of"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    _tab_to(page, dialog.get_by_role("button", name="Delete snapshot"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("The snapshot is deleted.")).to_be_visible()
    assert live.state(1) is SnapshotState.GONE


def test_without_javascript(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    page = open_page(tenant, java_script_enabled=False)
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    page.get_by_role("button", name="Take snapshot").click()
    line = page.locator("#snapshot-1")
    expect(line).to_contain_text("Queued")
    lease = live.claim(1)
    live.report(lease, GIB, 4 * GIB)
    page.get_by_role("link", name="Refresh").click()
    expect(line).to_contain_text("1 GiB of 4 GiB")
    page.get_by_role("button", name="Cancel the snapshot").click()
    expect(line).to_contain_text("Cancelling…")
    live.end(1, lease, SnapshotState.BROKEN, error="It stopped.")
    page.get_by_role("link", name="Refresh").click()
    expect(line).to_contain_text("Broken")
    page.get_by_role("link", name="Delete the snapshot of").click()
    expect(page.get_by_role("heading", name="Delete this snapshot?")).to_be_visible()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("link", name="Delete the snapshot of").click()
    page.get_by_role("button", name="Delete snapshot").click()
    expect(line).to_contain_text("Deleting")
    live.end(1, live.claim(1), SnapshotState.GONE)
    page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_text("No snapshots yet")).to_be_visible()
    number = live.settled(tenant, SnapshotState.DONE)
    page.goto(f"{live.url}/snapshots/{number}")
    expect(page.get_by_role("link", name="Download web-1.raw.gz")).to_be_visible()
    expect(page.get_by_role("link", name="Read it here")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/sign-in$"))


def test_a_refusal_is_shown_on_the_page(
    live: Live, open_page: Callable[..., Page], expected_complaints: list[str]
) -> None:
    """The snapshot ended in the moment in which its Cancel button was pressed."""
    expected_complaints.append("Response Status Error Code 409")
    tenant = live.tenant("Acme")
    number = live.take(tenant)
    lease = live.claim(number)
    page = open_page(tenant)
    page.goto(f"{live.url}/servers/{tenant.server}/snapshots")
    page.route("**/progress?*", lambda route: route.fulfill(status=204))
    page.route("**/changes?*", lambda route: route.fulfill(status=204))
    cancel = page.get_by_role("button", name="Cancel the snapshot")
    expect(cancel).to_be_visible()
    live.end(number, lease, SnapshotState.DONE)
    cancel.click()
    expect(page.locator("#notices")).to_contain_text("there is nothing to cancel")


def test_an_ended_session_leads_to_the_sign_in_and_back(
    live: Live, open_page: Callable[..., Page]
) -> None:
    tenant = live.tenant("Acme")
    page = open_page(tenant)
    where = f"{live.url}/servers/{tenant.server}/snapshots"
    page.goto(where)
    page.context.clear_cookies()
    page.wait_for_url(re.compile(r"/sign-in\?next="))
    page.get_by_label("E-mail address").fill(tenant.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(where)
