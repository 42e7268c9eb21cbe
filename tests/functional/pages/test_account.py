"""One's own password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.pages.scene import PASSWORD, Scene
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEW = "staple the battery, horse"


def test_it_changes_here_and_ends_other_sessions(
    any_scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = any_scene.tenant("Acme")
    here, there = visit(any_scene, tenant), visit(any_scene, tenant)
    answer = here.post("/account/password", current=PASSWORD, password=NEW, again=NEW)
    assert answer.status_code == 303
    assert "Your password is changed." in words(here.get("/account"))
    assert there.get("/servers").status_code == 303
    assert Visitor(any_scene.app).sign_in(tenant.email, PASSWORD).status_code == 422
    assert Visitor(any_scene.app).sign_in(tenant.email, NEW).status_code == 303


@pytest.mark.parametrize(
    ("current", "password", "again", "sentence"),
    [
        ("wrong", NEW, NEW, "That is not your present password."),
        (PASSWORD, NEW, NEW + "!", "The two new passwords are not the same."),
        (PASSWORD, "short", "short", "A password has 10 to 1000 characters."),
        (PASSWORD, "x" * 1001, "x" * 1001, "A password has 10 to 1000 characters."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(
    scene: Scene,
    visit: Callable[..., Visitor],
    current: str,
    password: str,
    again: str,
    sentence: str,
) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    answer = visitor.post("/account/password", current=current, password=password, again=again)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert Visitor(scene.app).sign_in(tenant.email, PASSWORD).status_code == 303


def test_wrong_method_and_no_token(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    assert visitor.get("/account/password").status_code == 405
    answer = visitor.post("/account/password", token="", current=PASSWORD, password=NEW, again=NEW)
    assert answer.status_code == 400


def test_guesses_are_limited(data_folder: Path, sqlite_url: str, redis_url: str) -> None:
    scene = Scene(data_folder, sqlite_url, redis_url, sign_in_limit="3 per minute")
    visitor = Visitor(scene.app)
    visitor.sign_in(scene.tenant("Acme").email, PASSWORD)
    guess = {"current": "guess", "password": NEW, "again": NEW}
    answers = [visitor.post("/account/password", **guess).status_code for _ in range(4)]
    assert answers == [422, 422, 422, 429]
    scene.close()
