"""One's own account: who one is, and one's password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import (
    Blueprint,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)

from portal.domain.errors import InvalidInput
from portal.pages import access, limits
from portal.services import users

if TYPE_CHECKING:
    from flask import Response
    from flask_limiter import Limiter

log = structlog.get_logger()


def make_blueprint(limiter: Limiter) -> Blueprint:
    """The views; guesses at the present password are limited as sign-ins are."""
    blueprint = Blueprint("account", __name__)
    change = limiter.limit(
        lambda: current_app.config["SIGN_IN_LIMIT"],
        key_func=lambda: f"user:{access.user().id}",
        deduct_when=limits.failed,
    )(change_password)
    blueprint.add_url_rule("/account", "show", show, methods=["GET"])
    blueprint.add_url_rule("/account/password", "change_password", change, methods=["POST"])
    return blueprint


def show() -> Response:
    """Who is signed in, and the form."""
    return _page(None, 200)


def change_password() -> Response:
    """Change the password; every other session of this user ends."""
    form = request.form
    work, user = access.work(), access.user()
    if form.get("password", "") != form.get("again", ""):
        return _page(InvalidInput("The two new passwords are not the same.", field="again"), 422)
    try:
        users.change_password(work, user, form.get("current", ""), form.get("password", ""))
    except InvalidInput as error:
        return _page(error, 422)
    work.commit()
    access.sign_in(user)
    log.info("password changed", user=user.id)
    flash("Your password is changed. Everywhere else you are signed out.")
    return make_response(redirect(url_for("account.show"), 303))


def _page(error: InvalidInput | None, status: int) -> Response:
    page = render_template("account/account.html", error=error, shortest=users.PASSWORD_MIN)
    return make_response(page, status)
