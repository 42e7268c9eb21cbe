"""Somebody who uses the portal without JavaScript: follows no script, sends the forms' tokens."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Visitor:
    """A browser's cookies, and the token of the last page that had one."""

    def __init__(self, app: Flask, *, address: str = "192.0.2.1") -> None:
        self.client = app.test_client()
        self.environ = {"REMOTE_ADDR": address}
        self.token = ""

    def get(self, path: str, *, htmx: bool = False, **headers: str) -> TestResponse:
        """Load a page or, for htmx, a fragment."""
        if htmx:
            headers["HX-Request"] = "true"
        answer = self.client.get(path, headers=headers, environ_base=self.environ)
        self._remember(answer)
        return answer

    def post(
        self, path: str, *, htmx: bool = False, token: str | None = None, **form: str
    ) -> TestResponse:
        """Send a form with the token of the page that it stands on."""
        form["csrf_token"] = self.token if token is None else token
        answer = self.client.post(
            path,
            data=form,
            headers={"HX-Request": "true"} if htmx else {},
            environ_base=self.environ,
        )
        self._remember(answer)
        return answer

    def sign_in(self, email: str, password: str) -> TestResponse:
        """Through the form; on success the token is the new session's."""
        self.get("/sign-in")
        answer = self.post("/sign-in", email=email, password=password)
        if answer.status_code == 303:
            self.get("/account")
        return answer

    def _remember(self, answer: TestResponse) -> None:
        if answer.mimetype == "text/html":
            found = _TOKEN.search(answer.text)
            if found:
                self.token = found[1]


def words(answer: TestResponse) -> str:
    """What stands on a page, without its tags."""
    bare = re.sub(r"<(script|style).*?</\1>", " ", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", bare)).split())
