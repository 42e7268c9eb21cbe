"""Watching a snapshot: the page follows by itself, and nothing jumps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from portal.domain.lifecycle import SnapshotState
from tests.functional.pages.scene import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Live

MARK = "document.body.dataset.mark = 'not reloaded'"
MARKED = "document.body.dataset.mark === 'not reloaded'"


def _history(live: Live, server: int) -> str:
    return f"{live.url}/servers/{server}/snapshots"


def test_taken_watched_and_done_without_a_reload(
    live: Live, open_page: Callable[..., Page]
) -> None:
    tenant = live.tenant("Acme")
    live.host_lives()
    page = open_page(tenant)
    page.get_by_role("link", name=tenant.server_name).click()
    page.get_by_role("link", name="Server snapshots").click()
    expect(page.get_by_text("No snapshots yet")).to_be_visible()
    page.get_by_role("button", name="Take snapshot").click()
    expect(page.get_by_text("The snapshot is on its way")).to_be_visible()
    line = page.locator("#snapshot-1")
    expect(line).to_contain_text("Queued")
    expect(page.get_by_text("The next one can begin when that has ended.")).to_be_visible()
    page.evaluate(MARK)

    lease = live.claim(1)
    live.report(lease, GIB, 4 * GIB, rate=100 * MIB)
    expect(line).to_contain_text("Running")
    expect(line).to_contain_text("1 GiB of 4 GiB · 100 MiB/s · about 30 s left")
    expect(line.get_by_role("progressbar")).to_have_js_property("value", 25)
    live.report(lease, 3 * GIB, 4 * GIB, rate=100 * MIB)
    expect(line.get_by_role("progressbar")).to_have_js_property("value", 75)

    live.end(1, lease, SnapshotState.DONE)
    expect(line).to_contain_text("Done")
    expect(line).to_contain_text("341 MiB")
    expect(page.locator("#news")).to_contain_text("Done.")
    # The form is back by itself, and the line has stopped asking.
    expect(page.get_by_role("button", name="Take snapshot")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(2):  # from one to the next are 4 s, from one look at a line to the next 1 s
        with page.expect_request(re.compile("/changes")):
            pass
    assert [url for url in asked if "/progress" in url] == []
    assert page.evaluate(MARKED)
    line.get_by_role("link", name=re.compile(r"^\d")).click()
    expect(page.get_by_role("link", name="Download web-1.raw.gz")).to_be_visible()


def test_a_screen_reader_hears_states_and_not_percents(
    live: Live, open_page: Callable[..., Page]
) -> None:
    tenant = live.tenant("Acme")
    live.take(tenant)
    lease = live.claim(1)
    live.report(lease, GIB, 4 * GIB)
    page = open_page(tenant)
    page.goto(_history(live, tenant.server))
    bar = page.locator("#snapshot-1").get_by_role("progressbar")
    expect(bar).to_have_js_property("value", 25)
    expect(bar).to_have_attribute("aria-label", re.compile("^Progress of the snapshot of"))
    live.report(lease, 2 * GIB, 4 * GIB)
    expect(bar).to_have_js_property("value", 50)
    expect(page.locator("#news")).to_be_empty()
    assert page.locator("#news").get_attribute("aria-live") == "polite"
    live.end(1, lease, SnapshotState.BROKEN, error="The disk has gone.")
    expect(page.locator("#news")).to_contain_text("Broken. The disk has gone.")


def test_the_focus_stays(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    live.settled(tenant, SnapshotState.DONE, days_ago=1)
    number = live.take(tenant)
    lease = live.claim(number)
    live.report(lease, GIB, 4 * GIB)
    page = open_page(tenant)
    page.goto(_history(live, tenant.server))
    cancel = page.get_by_role("button", name="Cancel the snapshot")
    cancel.focus()
    live.report(lease, 2 * GIB, 4 * GIB)
    expect(page.locator(f"#snapshot-{number} progress")).to_have_js_property("value", 50)
    expect(cancel).to_be_focused()
    # The button goes with the state: the focus goes to the line, not to the top of the page.
    live.end(number, lease, SnapshotState.DONE)
    expect(page.locator(f"#snapshot-{number}")).to_contain_text("Done")
    expect(page.locator(f"#snapshot-{number}-link")).to_be_focused()


def test_what_is_chosen_in_the_form_stays(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    second = live.another_store(tenant, "Second")
    live.settled(tenant, SnapshotState.DONE)
    page = open_page(tenant)
    page.goto(_history(live, tenant.server))
    expect(page.get_by_text("has not been seen yet")).to_be_visible()
    page.get_by_label("Destination store").select_option("Second")
    page.get_by_role("radio", name="Tar archive").check()
    page.get_by_role("checkbox", name="Compressed").check()
    page.get_by_label("Leave out").fill("/srv/cache\n" + "/a path/that is long" * 40)
    page.evaluate(MARK)
    live.host_lives()
    number = live.settled(tenant, SnapshotState.CANCELLED)
    expect(page.locator(f"#snapshot-{number}")).to_be_visible()
    expect(page.get_by_text("has not been seen yet")).to_have_count(0)
    expect(page.get_by_label("Destination store")).to_have_value(str(second))
    expect(page.get_by_role("checkbox", name="Compressed")).to_be_checked()
    expect(page.get_by_label("Leave out")).to_have_value(re.compile("^/srv/cache\n/a path"))
    assert page.evaluate(MARKED)


def test_what_others_do_appears_by_itself(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    kept = live.settled(tenant, SnapshotState.DONE)
    dropped = live.settled(tenant, SnapshotState.FAILED, error="No.")
    page = open_page(tenant)
    page.goto(_history(live, tenant.server))
    page.evaluate(MARK)
    page.evaluate(f"document.getElementById('snapshot-{kept}').dataset.kept = 'same element'")
    support = open_page(live.support_user())
    support.goto(_history(live, tenant.server))
    support.get_by_role("button", name="Take snapshot").click()
    fresh = page.locator(f"#snapshot-{dropped + 1}")
    expect(fresh).to_contain_text("Queued")
    expect(page.locator("#history-lines tr").first).to_have_attribute(
        "id", f"snapshot-{dropped + 1}"
    )
    support.goto(f"{live.url}/snapshots/{dropped}/delete")
    support.get_by_role("button", name="Delete snapshot").click()
    expect(page.locator(f"#snapshot-{dropped}")).to_have_count(0)
    assert page.locator(f"#snapshot-{kept}").get_attribute("data-kept") == "same element"
    assert page.evaluate(MARKED)


def test_the_first_snapshot_appears_in_an_empty_history(
    live: Live, open_page: Callable[..., Page]
) -> None:
    tenant = live.tenant("Acme")
    page = open_page(tenant)
    page.goto(_history(live, tenant.server))
    expect(page.get_by_text("No snapshots yet")).to_be_visible()
    page.evaluate(MARK)
    number = live.take(tenant)
    expect(page.locator(f"#snapshot-{number}")).to_contain_text("Queued")
    live.claim(number)
    expect(page.locator(f"#snapshot-{number}")).to_contain_text("Running")
    assert page.evaluate(MARKED)


def test_its_own_page_follows_too(live: Live, open_page: Callable[..., Page]) -> None:
    tenant = live.tenant("Acme")
    number = live.take(tenant)
    page = open_page(tenant)
    page.goto(f"{live.url}/snapshots/{number}")
    expect(page.get_by_text("Waiting to start")).to_be_visible()
    lease = live.claim(number)
    live.report(lease, GIB, 4 * GIB)
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 25)
    live.end(number, lease, SnapshotState.FAILED, error="The disk is missing.")
    expect(page.get_by_text("The disk is missing.")).to_be_visible()
    expect(page.get_by_text("Nothing was left in the store.")).to_be_visible()


def test_a_portal_that_is_away_is_said_and_comes_back(
    live: Live, open_page: Callable[..., Page], expected_complaints: list[str]
) -> None:
    expected_complaints.append("htmx:")  # it logs each request that failed
    tenant = live.tenant("Acme")
    live.take(tenant)
    page = open_page(tenant)
    page.goto(_history(live, tenant.server))
    page.evaluate(MARK)
    live.stop()
    notice = page.get_by_text("The portal does not answer.")
    expect(notice).to_be_visible()
    live.start(live.port)
    expect(notice).to_be_hidden()
    assert page.evaluate(MARKED)
