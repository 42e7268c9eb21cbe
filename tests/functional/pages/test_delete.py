"""Deleting a snapshot: never without asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.domain.lifecycle import JobKind, SnapshotState
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.pages.scene import Scene


def test_the_cross_asks_and_the_button_deletes(
    any_scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = any_scene.tenant("Acme")
    number = any_scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(any_scene, tenant)
    history = visitor.get(f"/servers/{tenant.server}/snapshots")
    assert f'href="/snapshots/{number}/delete"' in history.text
    assert 'aria-label="Delete the snapshot of ' in history.text
    question = visitor.get(f"/snapshots/{number}/delete")
    assert "Delete this snapshot?" in words(question)
    assert "nothing can be downloaded or restored from it any more" in words(question)
    assert any_scene.state(number) is SnapshotState.DONE
    answer = visitor.post(f"/snapshots/{number}/delete")
    assert (answer.status_code, answer.location) == (303, f"/servers/{tenant.server}/snapshots")
    assert any_scene.state(number) is SnapshotState.DELETING
    page = words(visitor.get(answer.location))
    assert "The snapshot is being deleted." in page
    assert "Deleting" in page
    lease = any_scene.claim(number)
    any_scene.end(number, lease, SnapshotState.GONE)
    assert "No snapshots yet" in words(visitor.get(answer.location))
    assert visitor.get(f"/snapshots/{number}").status_code == 404


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (SnapshotState.BROKEN, "It was never complete, so nothing is lost."),
        (SnapshotState.FAILED, "Only this line of the history goes away."),
        (SnapshotState.CANCELLED, "Only this line of the history goes away."),
    ],
)
def test_it_says_what_is_lost(
    scene: Scene, visit: Callable[..., Visitor], state: SnapshotState, said: str
) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, state, error="It stopped.")
    visitor = visit(scene, tenant)
    assert said in words(visitor.get(f"/snapshots/{number}/delete"))
    assert visitor.post(f"/snapshots/{number}/delete").status_code == 303
    expected = SnapshotState.DELETING if state is SnapshotState.BROKEN else SnapshotState.GONE
    assert scene.state(number) is expected
    assert (scene.job(number, JobKind.DELETE) is None) is (expected is SnapshotState.GONE)


def test_htmx_gets_the_question_alone(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    answer = visit(scene, tenant).get(f"/snapshots/{number}/delete", htmx=True)
    assert "<html" not in answer.text
    assert 'id="dialog-title"' in answer.text
    assert 'name="csrf_token"' in answer.text


def test_while_another_job_is_active_it_waits(
    any_scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = any_scene.tenant("Acme")
    number = any_scene.settled(tenant, SnapshotState.DONE)
    running = any_scene.take(tenant)
    visitor = visit(any_scene, tenant)
    question = words(visitor.get(f"/snapshots/{number}/delete"))
    assert "Another job is active for this server." in question
    assert "Delete snapshot" not in question
    answer = visitor.post(f"/snapshots/{number}/delete")
    assert answer.status_code == 409
    assert "Another job is active" in words(answer)
    assert any_scene.state(number) is SnapshotState.DONE
    answer = visitor.post(f"/snapshots/{running}/delete")
    assert answer.status_code == 409
    assert "cancel it first" in words(answer)


def test_again_is_refused(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    number = scene.settled(tenant, SnapshotState.DONE)
    visitor = visit(scene, tenant)
    visitor.post(f"/snapshots/{number}/delete")
    answer = visitor.post(f"/snapshots/{number}/delete")
    assert answer.status_code == 409
    assert "already being deleted" in words(answer)


def test_others_and_no_token(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant, other = scene.tenant("Acme"), scene.tenant("Other")
    number = scene.settled(tenant, SnapshotState.DONE)
    assert visit(scene, tenant).post(f"/snapshots/{number}/delete", token="").status_code == 400
    assert visit(scene, other).get(f"/snapshots/{number}/delete").status_code == 404
    assert visit(scene, other).post(f"/snapshots/{number}/delete").status_code == 404
    assert scene.state(number) is SnapshotState.DONE
