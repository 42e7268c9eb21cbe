"""Errors in plain words, and nothing else in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from portal.domain.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    ObjectMissing,
    QueueUnavailable,
    SnapportError,
    StoreFull,
    StoreRefused,
    StoreUnreachable,
)
from tests.functional.pages.scene import Scene
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound, 404),
        (NotAllowed, 403),
        (Conflict, 409),
        (InvalidInput, 422),
        (QueueUnavailable, 503),
        (ObjectMissing, 404),
        (StoreRefused, 502),
        (StoreFull, 502),
        (StoreUnreachable, 502),
    ],
)
def test_each_of_our_errors_has_its_status_and_shows_its_sentence(
    scene: Scene, visit: Callable[..., Visitor], error: type[SnapportError], status: int
) -> None:
    def fail() -> str:
        raise error("A sentence with <b>angles</b>.") from OSError("/secret/path")

    scene.app.view_functions["servers.show_list"] = fail
    visitor = visit(scene, scene.tenant("Acme"))
    page = visitor.get("/servers")
    assert page.status_code == status
    assert "A sentence with &lt;b&gt;angles&lt;/b&gt;." in page.text
    assert "/secret/path" not in page.text
    fragment = visitor.get("/servers", htmx=True)
    assert fragment.status_code == status
    assert fragment.headers["HX-Retarget"] == "#notices"
    assert "<html" not in fragment.text
    assert "A sentence with &lt;b&gt;angles&lt;/b&gt;." in fragment.text


@pytest.mark.parametrize("error", [RuntimeError("secret 4711"), SnapportError("not for them")])
def test_what_nobody_expected_tells_nothing(
    scene: Scene, visit: Callable[..., Visitor], error: Exception
) -> None:
    def fail() -> str:
        raise error

    visitor = visit(scene, scene.tenant("Acme"))
    scene.app.view_functions["servers.show_list"] = fail
    page = visitor.get("/servers")
    assert page.status_code == 500
    assert "The fault is ours" in words(page)
    assert str(error) not in page.text


def test_a_database_that_is_gone(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    with scene.runtime.engine.begin() as connection:
        connection.execute(text("ALTER TABLE users RENAME TO users_away"))
    page = visitor.get("/servers")
    assert page.status_code == 503
    assert "cannot reach its database" in words(page)


def test_pages_that_are_not_there(scene: Scene, visit: Callable[..., Visitor]) -> None:
    stranger = Visitor(scene.app)
    assert stranger.get("/nowhere").location == "/sign-in?next=/nowhere"
    visitor = visit(scene, scene.tenant("Acme"))
    for path in ("/nowhere", "/servers/0", "/servers/99999999999999999999", "/servers/x"):
        answer = visitor.get(path)
        assert answer.status_code == 404, path
        assert "There is nothing here" in words(answer)


def test_a_method_that_is_not_meant(scene: Scene, visit: Callable[..., Visitor]) -> None:
    visitor = visit(scene, scene.tenant("Acme"))
    answer = visitor.post("/servers")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "use the buttons of the page" in words(answer)


def test_a_form_without_a_token(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    for token in ("", "x.y.z"):
        answer = visitor.post(f"/servers/{tenant.server}/snapshots", token=token)
        assert answer.status_code == 400
        assert "This form is out of date." in words(answer)


def test_a_form_that_is_too_large(scene: Scene, visit: Callable[..., Visitor]) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    answer = visitor.post(f"/servers/{tenant.server}/snapshots", kind="x" * 100_000)
    assert answer.status_code == 413
    assert "larger than any form here" in words(answer)


def test_health(scene: Scene) -> None:
    answer = Visitor(scene.app).get("/health")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "database": True, "queue": True}


def test_health_without_redis(data_folder: Path, sqlite_url: str, free_port: int) -> None:
    scene = Scene(data_folder, sqlite_url, f"redis://127.0.0.1:{free_port}/0")
    answer = Visitor(scene.app).get("/health")
    assert answer.status_code == 200
    assert answer.json == {"status": "degraded", "database": True, "queue": False}
    scene.close()


def test_health_without_a_database(data_folder: Path, redis_url: str, free_port: int) -> None:
    nobody = f"postgresql+psycopg://nobody:secret@127.0.0.1:{free_port}/none"
    scene = Scene(data_folder, nobody, redis_url)
    answer = Visitor(scene.app).get("/health")
    assert answer.status_code == 503
    assert answer.json == {"status": "down", "database": False, "queue": True}
    assert "secret" not in answer.text
    scene.close()
