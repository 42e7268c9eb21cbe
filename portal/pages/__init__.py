"""The pages: views load with authority, call one service function, and render.

What must always hold: no SQL, no store and no queue logic in a view; a fragment that updates a page
is the same template that the page includes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.pages import account, health, history, servers, sign_in, snapshot

if TYPE_CHECKING:
    from flask import Flask
    from flask_limiter import Limiter


def register(app: Flask, limiter: Limiter) -> None:
    """Put every blueprint into the application."""
    app.register_blueprint(health.blueprint)
    app.register_blueprint(sign_in.make_blueprint(limiter))
    app.register_blueprint(account.make_blueprint(limiter))
    app.register_blueprint(servers.blueprint)
    app.register_blueprint(history.blueprint)
    app.register_blueprint(snapshot.blueprint)
