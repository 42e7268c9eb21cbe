"""Signing in: who gets in, where they go, and what a guesser learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.pages.scene import PASSWORD, Scene
from tests.functional.pages.visitor import Visitor, words

if TYPE_CHECKING:
    from pathlib import Path


def test_the_right_password_opens_the_servers(any_scene: Scene) -> None:
    tenant = any_scene.tenant("Acme")
    visitor = Visitor(any_scene.app)
    answer = visitor.sign_in(tenant.email, PASSWORD)
    assert (answer.status_code, answer.location) == (303, "/servers")
    assert tenant.server_name in words(visitor.get("/servers"))


def test_the_address_is_not_case_sensitive(scene: Scene) -> None:
    tenant = scene.tenant("Acme")
    assert Visitor(scene.app).sign_in(f" {tenant.email.upper()} ", PASSWORD).status_code == 303


@pytest.mark.parametrize("email", ["nobody@example.org", "", "no address\0"])
def test_a_wrong_address_and_a_wrong_password_look_the_same(scene: Scene, email: str) -> None:
    tenant = scene.tenant("Acme")
    wrong_password = Visitor(scene.app).sign_in(tenant.email, "something else")
    wrong_address = Visitor(scene.app).sign_in(email, PASSWORD)
    assert wrong_password.status_code == wrong_address.status_code == 422
    sentence = "The e-mail address or the password is not right."
    assert sentence in words(wrong_password)
    assert sentence in words(wrong_address)


def test_the_password_is_never_in_the_answer(scene: Scene) -> None:
    answer = Visitor(scene.app).sign_in("x@example.org", "a password that leaks")
    assert "a password that leaks" not in answer.text


def test_who_is_signed_in_goes_on(scene: Scene) -> None:
    visitor = Visitor(scene.app)
    visitor.sign_in(scene.tenant("Acme").email, PASSWORD)
    answer = visitor.get("/sign-in")
    assert (answer.status_code, answer.location) == (303, "/servers")


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        ("/servers/7/snapshots?before=3", "/servers/7/snapshots?before=3"),
        ("https://evil.example/", "/servers"),
        ("//evil.example/", "/servers"),
        ("/\\evil.example/", "/servers"),
        ("/\t/evil.example/", "/servers"),
        ("javascript:alert(1)", "/servers"),
        ("servers", "/servers"),
        ("/%0a/x", "/%0a/x"),
        ("/" + "x" * 3000, "/servers"),
    ],
)
def test_only_own_paths_are_gone_on_to(scene: Scene, asked: str, reached: str) -> None:
    tenant = scene.tenant("Acme")
    visitor = Visitor(scene.app)
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", email=tenant.email, password=PASSWORD, next=asked)
    assert (answer.status_code, answer.location) == (303, reached)


def test_a_closed_page_comes_back_after_signing_in(scene: Scene) -> None:
    tenant = scene.tenant("Acme")
    visitor = Visitor(scene.app)
    refused = visitor.get(f"/servers/{tenant.server}/snapshots")
    assert refused.status_code == 303
    assert refused.location == f"/sign-in?next=/servers/{tenant.server}/snapshots"
    form = visitor.get(refused.location)
    assert f'name="next" value="/servers/{tenant.server}/snapshots"' in form.text


def test_the_session_is_a_new_one(scene: Scene) -> None:
    """A cookie that somebody planted before the sign-in is worth nothing after it."""
    tenant = scene.tenant("Acme")
    visitor = Visitor(scene.app)
    visitor.get("/sign-in")
    planted = visitor.token
    visitor.post("/sign-in", email=tenant.email, password=PASSWORD)
    visitor.get("/account")
    assert visitor.token != planted
    assert visitor.post("/sign-out", token=planted).status_code == 400


def test_a_form_in_another_tab_stays_good(scene: Scene) -> None:
    tenant = scene.tenant("Acme")
    visitor = Visitor(scene.app)
    visitor.get("/sign-in")
    assert visitor.get("/servers").status_code == 303
    answer = visitor.post("/sign-in", email=tenant.email, password=PASSWORD)
    assert answer.location == "/servers"


def test_the_limit_by_e_mail_address(data_folder: Path, sqlite_url: str, redis_url: str) -> None:
    scene = Scene(data_folder, sqlite_url, redis_url, sign_in_limit="3 per minute")
    tenant = scene.tenant("Acme")
    for number in range(3):
        guess = Visitor(scene.app, address=f"192.0.2.{number}").sign_in(tenant.email, "guess" * 3)
        assert guess.status_code == 422
    answer = Visitor(scene.app, address="192.0.2.99").sign_in(tenant.email, PASSWORD)
    assert answer.status_code == 429
    assert "Wait a little" in words(answer)
    assert int(answer.headers["Retry-After"]) > 0
    other = scene.tenant("Other")
    assert (
        Visitor(scene.app, address="192.0.2.99").sign_in(other.email, PASSWORD).status_code == 303
    )
    scene.close()


def test_the_limit_by_network_address(data_folder: Path, sqlite_url: str, redis_url: str) -> None:
    scene = Scene(data_folder, sqlite_url, redis_url, sign_in_limit="3 per minute")
    tenant = scene.tenant("Acme")
    for number in range(3):
        Visitor(scene.app).sign_in(f"guess-{number}@example.org", "guess" * 3)
    assert Visitor(scene.app).sign_in(tenant.email, PASSWORD).status_code == 429
    assert (
        Visitor(scene.app, address="192.0.2.2").sign_in(tenant.email, PASSWORD).status_code == 303
    )
    scene.close()


def test_success_is_not_counted(data_folder: Path, sqlite_url: str, redis_url: str) -> None:
    scene = Scene(data_folder, sqlite_url, redis_url, sign_in_limit="2 per minute")
    tenant = scene.tenant("Acme")
    for _ in range(5):
        assert Visitor(scene.app).sign_in(tenant.email, PASSWORD).status_code == 303
    scene.close()


def test_the_limit_holds_without_redis(data_folder: Path, sqlite_url: str, free_port: int) -> None:
    gone = f"redis://127.0.0.1:{free_port}/0"
    scene = Scene(data_folder, sqlite_url, gone, sign_in_limit="3 per minute")
    tenant = scene.tenant("Acme")
    answers = [Visitor(scene.app).sign_in(tenant.email, "guess" * 3).status_code for _ in range(5)]
    assert answers[:3] == [422, 422, 422]
    assert answers[4] == 429
    scene.close()
