"""A portal that a browser can visit, and a visitor with eyes on the console."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from tests.functional.pages.scene import PASSWORD, Scene, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page


class Live(Scene):
    """A scene that answers on a port; `stop` and `start` it as a network does."""

    def start(self, port: int) -> None:
        """Serve in a thread."""
        self.port = port
        self._server = make_server("127.0.0.1", port, self.app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Connections are refused from here on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def live(data_folder: Path, sqlite_url: str, redis_url: str, free_port: int) -> Iterator[Live]:
    """A portal of the test's own, served."""
    live = Live(data_folder, sqlite_url, redis_url, sign_in_limit="1000 per minute")
    live.start(free_port)
    yield live
    live.stop()
    live.close()


@pytest.fixture
def expected_complaints() -> list[str]:
    """What the console may say in this test, as parts of its lines."""
    return ["Failed to load resource"]


@pytest.fixture
def open_page(
    live: Live, browser: Browser, expected_complaints: list[str]
) -> Iterator[Callable[..., Page]]:
    """Opens a page of a fresh visitor, signed in as `who`; options as for a browser context.

    Whatever else the console complains of fails the test: scripts, the security policy, htmx.
    """
    complaints: list[str] = []
    with ExitStack() as stack:

        def enter(who: str | Tenant | None = None, **options: object) -> Page:
            context: BrowserContext = stack.enter_context(closing(browser.new_context(**options)))
            page = context.new_page()
            page.set_default_timeout(15_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text)
                    if message.type in {"error", "warning"}
                    and not any(part in message.text for part in expected_complaints)
                    else None
                ),
            )
            if who is not None:
                page.goto(f"{live.url}/sign-in")
                page.get_by_label("E-mail address").fill(who if isinstance(who, str) else who.email)
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Sign in").click()
                page.wait_for_url("**/servers")
            return page

        yield enter
    assert complaints == []
