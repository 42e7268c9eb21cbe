"""Cancelling a snapshot that waits or runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.lifecycle import SnapshotState
from tests.functional.pages.scene import GIB, Scene
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable


def test_one_that_waits_is_cancelled_at_once(
    any_scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = any_scene.tenant("Acme")
    number = any_scene.take(tenant)
    visitor = visit(any_scene, tenant)
    answer = visitor.post(f"/snapshots/{number}/cancel")
    assert (answer.status_code, answer.location) == (303, f"/servers/{tenant.server}/snapshots")
    assert any_scene.state(number) is SnapshotState.CANCELLED
    assert "The snapshot is cancelled." in words(visitor.get(answer.location))


def test_one_that_runs_is_asked_to_stop(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    number = any_scene.take(tenant)
    lease = any_scene.claim(number)
    assert not any_scene.report(lease, GIB, 4 * GIB)
    visitor = visit(any_scene, tenant)
    visitor.post(f"/snapshots/{number}/cancel")
    assert any_scene.report(lease, GIB, 4 * GIB)
    page = words(visitor.get(f"/servers/{tenant.server}/snapshots"))
    assert "Cancelling…" in page
    assert "Cancel the snapshot" not in page
    any_scene.end(number, lease, SnapshotState.CANCELLED)
    assert "Cancelled" in words(visitor.get(f"/servers/{tenant.server}/snapshots"))


def test_htmx_gets_the_line_alone(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.take(tenant)
    scene.claim(number)
    answer = visit(scene, tenant).post(f"/snapshots/{number}/cancel", htmx=True)
    assert answer.status_code == 200
    assert answer.text.strip().startswith(f'<tr id="snapshot-{number}"')
    assert "Cancelling…" in words(answer)
    assert f"/snapshots/{number}/progress" in answer.text


def test_again_while_it_stops_changes_nothing(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.take(tenant)
    scene.claim(number)
    visitor = visit(scene, tenant)
    visitor.post(f"/snapshots/{number}/cancel")
    first = scene.job(number)
    assert visitor.post(f"/snapshots/{number}/cancel").status_code == 303
    second = scene.job(number)
    assert first is not None
    assert second is not None
    assert first.cancel_requested_at == second.cancel_requested_at


def test_one_that_has_ended_is_refused(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(scene, tenant)
    answer = visitor.post(f"/snapshots/{number}/cancel")
    assert answer.status_code == 409
    assert "there is nothing to cancel" in words(answer)
    assert f'href="/snapshots/{number}"' in answer.text
    notice = visitor.post(f"/snapshots/{number}/cancel", htmx=True)
    assert notice.headers["HX-Retarget"] == "#notices"


def test_wrong_method_others_and_no_token(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant, other = scene.tenant("Acme"), scene.tenant("Other")
    number = scene.take(tenant)
    assert visit(scene, tenant).get(f"/snapshots/{number}/cancel").status_code == 405
    assert visit(scene, tenant).post(f"/snapshots/{number}/cancel", token="").status_code == 400
    assert visit(scene, other).post(f"/snapshots/{number}/cancel").status_code == 404
    assert scene.state(number) is SnapshotState.QUEUED
    support = visit(scene, scene.support_user())
    assert support.post(f"/snapshots/{number}/cancel").status_code == 303
