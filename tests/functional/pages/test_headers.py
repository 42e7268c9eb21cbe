"""What every answer carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.pages.headers import HEADERS
from tests.functional.pages.scene import PASSWORD, Scene
from tests.functional.pages.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "path",
    ["/sign-in", "/servers", "/nowhere", "/health", "/static/snapport.css", "/static/none.css"],
)
def test_security_headers_are_on_every_answer(
    scene: Scene, visit: Callable[..., Visitor], path: str
) -> None:
    for visitor in (Visitor(scene.app), visit(scene, scene.tenant("Acme"))):
        answer = visitor.get(path)
        assert answer.headers["Content-Security-Policy"] == POLICY
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "Strict-Transport-Security" not in answer.headers


def test_pages_are_not_kept_and_files_are(scene: Scene) -> None:
    visitor = Visitor(scene.app)
    page = visitor.get("/sign-in")
    assert page.headers["Cache-Control"] == "no-store"
    address = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "?v=" in address
    file = visitor.get(address)
    assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    old = visitor.get("/static/snapport.css?v=0123456789ab")
    assert old.headers["Cache-Control"] == "no-cache"


def test_no_page_holds_script_or_style_of_its_own(
    scene: Scene, visit: Callable[..., Visitor]
) -> None:
    tenant = scene.tenant("Acme")
    visitor = visit(scene, tenant)
    for path in ("/sign-in", "/servers", f"/servers/{tenant.server}/snapshots", "/account"):
        text = visitor.get(path).text
        assert " style=" not in text
        assert " onclick=" not in text
        assert "<style" not in text
        assert all(' src="/static/' in tag for tag in text.split("<script")[1:])


def test_the_cookie_over_plain_http(scene: Scene) -> None:
    visitor = Visitor(scene.app)
    visitor.sign_in(scene.tenant("Acme").email, PASSWORD)
    cookie = visitor.client.get_cookie("snapport")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert not cookie.secure


def test_over_tls(data_folder: Path, sqlite_url: str, redis_url: str) -> None:
    scene = Scene(data_folder, sqlite_url, redis_url, https=True)
    answer = scene.app.test_client().get("/sign-in", base_url="https://portal.example")
    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-snapport=")
    for flag in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert flag in cookie
    assert "Domain" not in cookie
    scene.close()


@pytest.mark.parametrize(("proxies", "limited"), [(0, True), (1, False)])
def test_forwarded_addresses_count_only_behind_proxies(
    data_folder: Path, sqlite_url: str, redis_url: str, *, proxies: int, limited: bool
) -> None:
    scene = Scene(data_folder, sqlite_url, redis_url, proxies=proxies, sign_in_limit="2 per minute")
    codes = []
    for number in range(4):
        visitor = Visitor(scene.app)
        visitor.environ["HTTP_X_FORWARDED_FOR"] = f"198.51.100.{number}"
        codes.append(visitor.sign_in(f"guess-{number}@example.org", "x" * 12).status_code)
    assert (429 in codes) is limited
    scene.close()
