"""The history: what it shows, pages of it, and what its polls answer."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from portal.domain.lifecycle import SnapshotState
from portal.records import Snapshot
from portal.services.snapshots import HISTORY_PAGE
from tests.functional.pages.scene import GIB, Scene, Tenant
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable


def _page(tenant: Tenant) -> str:
    return f"/servers/{tenant.server}/snapshots"


def _poll(text: str, number: int) -> str:
    """The address that the progress of a line asks next."""
    found = re.search(rf'hx-get="(/snapshots/{number}/progress[^"]*)"', text)
    assert found
    return found[1].replace("&amp;", "&")


def _shown(text: str) -> str:
    """What the list's poll would send along."""
    found = re.findall(r'name="shown" value="([^"]+)"', text)
    return "?" + "&".join(f"shown={told}" for told in found)


def test_each_state_is_shown(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    done = any_scene.settled(tenant, SnapshotState.DONE, days_ago=1)
    any_scene.settled(tenant, SnapshotState.FAILED, error="The disk is missing.")
    any_scene.settled(tenant, SnapshotState.BROKEN, error="The worker stopped.")
    any_scene.settled(tenant, SnapshotState.CANCELLED)
    page = words(visit(any_scene, tenant).get(_page(tenant)))
    for expected in (
        *("Done", "Failed", "Broken", "Cancelled", "The disk is missing.", "The worker stopped."),
        *("341 MiB", "96 MiB sent", "2 min 5 s", "Memstore", "Raw image"),
    ):
        assert expected in page
    text = visit(any_scene, tenant).get(_page(tenant)).text
    assert f'id="snapshot-{done}"' in text
    assert f'title="{GIB // 3:,} bytes"' in text
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', text)


def test_thousands_are_paged(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    model = any_scene.settled(tenant, SnapshotState.CANCELLED)
    with any_scene.runtime.work() as work:
        first = work.session.get_one(Snapshot, model)
        work.session.add_all(
            Snapshot(
                server_id=first.server_id,
                store_id=first.store_id,
                kind=first.kind,
                state=SnapshotState.CANCELLED,
                folder=f"{first.folder}-{number}",
            )
            for number in range(2 * HISTORY_PAGE)
        )
        work.commit()
    visitor = visit(any_scene, tenant)
    page = visitor.get(_page(tenant))
    seen = re.findall(r'id="snapshot-(\d+)"', page.text)
    while found := re.search(r'href="([^"]+before=\d+)"', page.text):
        page = visitor.get(found[1])
        assert page.status_code == 200
        assert "Newest" in words(page)
        seen += re.findall(r'id="snapshot-(\d+)"', page.text)
    total = 2 * HISTORY_PAGE + 1
    assert [int(number) for number in seen] == sorted(map(int, seen), reverse=True)
    assert len(seen) == len(set(seen)) == total
    assert f"{total} snapshots" in words(page)
    # Older pages do not ask for newer lines: those would push in at the wrong place.
    assert "/changes" not in page.text
    assert visitor.get(f"{_page(tenant)}?before=x").status_code == 200
    assert visitor.get(f"{_page(tenant)}?before={'9' * 30}").status_code == 200


def test_progress_is_shown_and_polled(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    number = any_scene.take(tenant)
    visitor = visit(any_scene, tenant)
    page = visitor.get(_page(tenant))
    assert "Waiting to start" in words(page)
    address = _poll(page.text, number)
    assert visitor.get(address, htmx=True).status_code == 204

    lease = any_scene.claim(number)
    any_scene.report(lease, GIB, 4 * GIB, rate=100 * 1024**2)
    line = visitor.get(address, htmx=True)
    assert line.headers["HX-Retarget"] == f"#snapshot-{number}"
    assert line.headers["HX-Reswap"] == "outerHTML"
    assert "Snapshot of" in json.loads(line.headers["HX-Trigger-After-Swap"])["announce"]
    assert line.text.strip().startswith(f'<tr id="snapshot-{number}"')
    assert "1 GiB of 4 GiB · 100 MiB/s · about 31 s left" not in words(line)
    assert "1 GiB of 4 GiB · 100 MiB/s · about 30 s left" in words(line)
    assert 'value="25"' in line.text

    address = _poll(line.text, number)
    any_scene.report(lease, 2 * GIB, 4 * GIB)
    fragment = visitor.get(address, htmx=True)
    assert fragment.text.strip().startswith(f'<div class="progress" id="progress-{number}"')
    assert "HX-Retarget" not in fragment.headers
    # Each percent is not news for a screen reader.
    assert "HX-Trigger-After-Swap" not in fragment.headers
    assert 'value="50"' in fragment.text

    any_scene.end(number, lease, SnapshotState.DONE)
    line = visitor.get(_poll(fragment.text, number), htmx=True)
    assert "Done" in words(line)
    assert "hx-trigger" not in line.text.replace('hx-trigger="load"', "")
    assert line.headers["HX-Retarget"] == f"#snapshot-{number}"


def test_a_deletion_that_ended_takes_the_line_away(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(scene, tenant)
    visitor.post(f"/snapshots/{number}/delete")
    address = _poll(visitor.get(_page(tenant)).text, number)
    lease = scene.claim(number)
    scene.end(number, lease, SnapshotState.GONE)
    answer = visitor.get(address, htmx=True)
    assert answer.status_code == 200
    assert answer.headers["HX-Reswap"] == "delete"
    assert answer.headers["HX-Retarget"] == f"#snapshot-{number}"


def test_the_list_tells_what_changed_only(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    kept = any_scene.settled(tenant, SnapshotState.DONE)
    dropped = any_scene.settled(tenant, SnapshotState.FAILED, error="No.")
    changing = any_scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(any_scene, tenant)
    shown = _shown(visitor.get(_page(tenant)).text)
    changes = f"{_page(tenant)}/changes{shown}"
    assert visitor.get(changes, htmx=True).status_code == 204

    support = visit(any_scene, any_scene.support_user())
    support.post(f"/snapshots/{dropped}/delete")
    support.post(f"/snapshots/{changing}/delete")
    answer = visitor.get(changes, htmx=True)
    assert f'<tr id="snapshot-{changing}" role="row" hx-swap-oob="true">' in answer.text
    assert f'<tr id="snapshot-{dropped}" hx-swap-oob="delete">' in answer.text
    assert f'id="snapshot-{kept}"' not in answer.text
    assert "Deleting" in json.loads(answer.headers["HX-Trigger-After-Swap"])["announce"]

    any_scene.end(changing, any_scene.claim(changing), SnapshotState.GONE)
    fresh = any_scene.take(tenant)
    answer = visitor.get(f"{_page(tenant)}/changes?shown={kept}.done", htmx=True)
    assert 'hx-swap-oob="afterbegin:#history-lines"' in answer.text
    assert f'id="snapshot-{fresh}"' in answer.text
    assert f'id="snapshot-{kept}"' not in answer.text


def test_the_first_and_the_last_line_change_the_whole_history(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    changes = f"{_page(tenant)}/changes"
    assert _shown(visitor.get(_page(tenant)).text) == "?shown=none"
    assert visitor.get(f"{changes}?shown=none", htmx=True).status_code == 204
    # The last line went by its own poll: nothing is shown, and that is not the empty history yet.
    assert "No snapshots yet" in words(visitor.get(changes, htmx=True))
    number = scene.settled(tenant, SnapshotState.CANCELLED)
    answer = visitor.get(f"{changes}?shown=none", htmx=True)
    assert answer.headers["HX-Retarget"] == "#history"
    assert "<table" in answer.text
    visitor.post(f"/snapshots/{number}/delete")
    answer = visitor.get(f"{changes}?shown={number}.cancelled", htmx=True)
    assert answer.headers["HX-Retarget"] == "#history"
    assert "No snapshots yet" in words(answer)


def test_nonsense_in_a_poll_is_harmless(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant, other = scene.tenant("Acme"), scene.tenant("Other")
    theirs = scene.settled(other, SnapshotState.DONE)
    visitor = visit(scene, tenant)
    for shown in ("x", "1.", f"{'9' * 40}.done", "%00", "-1.done"):
        assert visitor.get(f"{_page(tenant)}/changes?shown={shown}", htmx=True).status_code < 300
    # Somebody else's line is told as gone, whatever its state: not there.
    answer = visitor.get(f"{_page(tenant)}/changes?shown={theirs}.running", htmx=True)
    assert "Done" not in words(answer)


def test_the_form_is_sent_again_only_when_it_looks_different(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    second = scene.another_store(tenant, "Second")
    scene.host_lives()
    visitor = visit(scene, tenant)
    found = re.search(r'hx-get="([^"]+/form\?seen=\w+)"', visitor.get(_page(tenant)).text)
    assert found
    assert visitor.get(found[1], htmx=True).status_code == 204
    scene.host_lives(seconds_ago=100)
    answer = visitor.get(f"{found[1]}&store={second}&kind=raw", htmx=True)
    assert answer.status_code == 200
    assert "it starts when the host is back" in words(answer)
    # What the person had chosen stays chosen.
    assert f'<option value="{second}" selected>' in answer.text


def test_others_see_nothing_of_it(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant, other = scene.tenant("Acme"), scene.tenant("Other")
    number = scene.take(tenant)
    visitor = visit(scene, other)
    for path in (
        _page(tenant),
        f"{_page(tenant)}/changes",
        f"{_page(tenant)}/form",
        f"/snapshots/{number}",
        f"/snapshots/{number}/progress",
        f"/snapshots/{number}/readme",
        f"/snapshots/{number}/files/README.txt",
    ):
        assert visitor.get(path).status_code == 404, path
        assert Visitor(scene.app).get(path).status_code == 303, path


def test_without_script_there_is_a_way_to_refresh(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    scene.take(tenant)
    text = visit(scene, tenant).get(_page(tenant)).text
    without_script = re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)
    assert without_script
    assert f'<a href="{_page(tenant)}">Refresh</a>' in without_script[1]
