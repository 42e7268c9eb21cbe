"""Signing in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import (
    Blueprint,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)

from portal.domain.errors import InvalidInput
from portal.pages import access, limits
from portal.services import users

if TYPE_CHECKING:
    from flask import Response
    from flask_limiter import Limiter

log = structlog.get_logger()

_WRONG = "The e-mail address or the password is not right."


def make_blueprint(limiter: Limiter) -> Blueprint:
    """The views, with attempts limited by address and by e-mail."""
    blueprint = Blueprint("sign_in", __name__)
    attempt = sign_in
    for key in (limits.email, limits.address):
        attempt = limiter.limit(
            lambda: current_app.config["SIGN_IN_LIMIT"], key_func=key, deduct_when=limits.failed
        )(attempt)
    blueprint.add_url_rule("/sign-in", "show", show, methods=["GET"])
    blueprint.add_url_rule("/sign-in", "sign_in", access.open_to_all(attempt), methods=["POST"])
    blueprint.add_url_rule("/sign-out", "sign_out", sign_out, methods=["POST"])
    return blueprint


@access.open_to_all
def show() -> Response:
    """The form; who is signed in already goes on."""
    if g.get("user") is not None:
        return make_response(redirect(_next(), 303))
    return make_response(render_template("account/sign_in.html", next=_asked(), email=""))


@access.open_to_all
def sign_in() -> Response:
    """Check the password, begin a session."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    work = access.work()
    found = users.authenticate(work, email, password)
    if found is None:
        log.info("sign-in refused", address=request.remote_addr)
        page = render_template(
            "account/sign_in.html",
            next=_asked(),
            email=email[:254],
            error=InvalidInput(_WRONG, field="password"),
        )
        return make_response(page, 422)
    work.commit()
    access.sign_in(found)
    log.info("signed in", user=found.id, address=request.remote_addr)
    return make_response(redirect(_next(), 303))


def sign_out() -> Response:
    """End the session."""
    log.info("signed out", user=access.user().id)
    session.clear()
    flash("You are signed out.")
    return make_response(redirect(url_for("sign_in.show"), 303))


def _asked() -> str:
    return access.own_path(request.values.get("next", "")) or ""


def _next() -> str:
    return _asked() or url_for("servers.show_list")
