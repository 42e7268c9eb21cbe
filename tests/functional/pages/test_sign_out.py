"""Signing out, and sessions that end by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.services import users
from tests.functional.pages.scene import PASSWORD, Scene
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable


def test_signing_out_ends_the_session(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    answer = visitor.post("/sign-out")
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert "You are signed out." in words(visitor.get("/sign-in"))
    assert visitor.get("/servers").location == "/sign-in?next=/servers"


def test_a_link_cannot_sign_out(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    assert visitor.get("/sign-out").status_code == 405
    assert visitor.get("/servers").status_code == 200


def test_it_needs_the_token(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    assert visitor.post("/sign-out", token="").status_code == 400
    assert visitor.get("/servers").status_code == 200


def test_a_raised_epoch_ends_every_session(any_scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = any_scene.tenant("Acme")
    here, there = visit(any_scene, tenant), visit(any_scene, tenant)
    with any_scene.runtime.work() as work:
        users.set_password(work, work.session.merge(any_scene.user(tenant.email)), PASSWORD * 2)
        work.commit()
    for visitor in (here, there):
        assert visitor.get("/servers").location == "/sign-in?next=/servers"


def test_a_poll_of_an_ended_session_leads_to_the_form(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    visitor.post("/sign-out")
    page = f"/servers/{tenant.server}/snapshots"
    current = {"HX-Current-URL": f"http://localhost{page}"}
    answer = visitor.get(f"{page}/changes", htmx=True, **current)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == f"/sign-in?next={page}"
    elsewhere = {"HX-Current-URL": "http://evil.example/trap"}
    answer = visitor.get(f"{page}/changes", htmx=True, **elsewhere)
    assert answer.headers["HX-Redirect"] == "/sign-in"


def test_a_form_sent_after_the_end_leads_to_the_form(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    visitor.post("/sign-out")
    answer = visitor.post(f"/servers/{tenant.server}/snapshots", store="1", kind="raw")
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in")
