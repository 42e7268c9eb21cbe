"""The Flask application: opens what it works with, and puts the pages together.

What must always hold: every view but those marked open asks for a signed-in user, before anything
else looks at the request; every POST carries a CSRF token; every answer carries the same security
headers.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import structlog
from flask import Flask
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import commands, pages
from portal.logs import set_up_logs
from portal.pages import access, errors, headers, limits, static_files, words
from portal.settings import CHECKOUT, Settings
from portal.work import Runtime

_FORM_BYTES = 64 * 1024
"""No form here is larger; nothing is uploaded through the portal."""
_SESSION = timedelta(hours=12)


def create_app(settings: Settings | None = None) -> Flask:
    """The application; nothing connects before the first request."""
    settings = settings or Settings()
    if not structlog.is_configured():
        set_up_logs(settings)
    runtime = Runtime.open(settings)
    app = Flask("portal", static_folder="static", template_folder=str(_templates()))
    app.extensions["snapport"] = runtime
    app.config.from_mapping(
        SECRET_KEY=runtime.vault.derive("sessions"),
        SESSION_COOKIE_NAME="__Host-snapport" if settings.https else "snapport",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_PATH="/",
        # Counted from the sign-in: a page that polls must not keep a session alive for ever.
        PERMANENT_SESSION_LIFETIME=_SESSION,
        SESSION_REFRESH_EACH_REQUEST=False,
        # As long as the session: a page left open over lunch still has working buttons.
        WTF_CSRF_TIME_LIMIT=None,
        SUPPORT_EMAIL=settings.support_email,
        MAX_CONTENT_LENGTH=_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=_FORM_BYTES,
        MAX_FORM_PARTS=50,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.url_map.converters["number"] = access.Number
    if settings.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies
        )
    access.register(app)
    CSRFProtect(app)
    headers.register(app, https=settings.https)
    static_files.register(app)
    words.register(app)
    errors.register(app)
    pages.register(app, limits.make_limiter(app, settings))
    commands.register(app)
    return app


def _templates() -> Path:
    """In a checkout they stand at the top, in a wheel inside the package."""
    packaged = Path(__file__).parent / "templates"
    return packaged if packaged.is_dir() else CHECKOUT / "templates"
