"""Errors as pages, in plain words: one table says which error is which status.

What must always hold: an error page shows the sentence that our own error carries, or one written
here; never a vendor's text, a path or a traceback. htmx gets the same sentence as a notice.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from flask import g, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from portal.domain.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    ObjectMissing,
    QueueUnavailable,
    SnapportError,
    StoreError,
)
from portal.pages import access

if TYPE_CHECKING:
    from flask import Flask, Response

log = structlog.get_logger()

STATUSES: tuple[tuple[type[SnapportError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (QueueUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ObjectMissing, HTTPStatus.NOT_FOUND),
    (StoreError, HTTPStatus.BAD_GATEWAY),
)

_TITLES = {
    HTTPStatus.BAD_REQUEST: "That request could not be read",
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "That is not how this page is used",
    HTTPStatus.CONFLICT: "Not just now",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "That was too much",
    HTTPStatus.UNPROCESSABLE_ENTITY: "That cannot be used",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts",
    HTTPStatus.BAD_GATEWAY: "The store did not do that",
    HTTPStatus.SERVICE_UNAVAILABLE: "Out of order for a moment",
}
_SENTENCES = {
    HTTPStatus.BAD_REQUEST: "Go back, load the page again, and try once more.",
    HTTPStatus.FORBIDDEN: "You are signed in, but this is not yours to do.",
    HTTPStatus.NOT_FOUND: "The address leads nowhere, or to something that is not yours.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Go back, and use the buttons of the page.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "What was sent is larger than any form here.",
    HTTPStatus.TOO_MANY_REQUESTS: "Wait a little before you try again.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Try again in a minute. Snapshots that run are not affected.",
}
_TITLE = "Something went wrong"
_SENTENCE = "The fault is ours, and it has been noted. Try again; if it stays, write to support."
_EXPIRED = "This form is out of date. Go back, load the page again, and send it once more."
_DATABASE = "The portal cannot reach its database. Snapshots that run are not affected."


def register(app: Flask) -> None:
    """Handle every error with a page or a notice."""
    app.register_error_handler(SnapportError, _own)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(OperationalError, _database)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: SnapportError) -> HTTPStatus:
    """The HTTP status of one of our errors."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _own(error: SnapportError) -> Response:
    status = status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", path=request.path, error=error.message, exc_info=error)
    return _answer(status, error.message)


def _csrf(error: CSRFError) -> Response:
    log.info("csrf refused", path=request.path, reason=error.description)
    return _answer(HTTPStatus.BAD_REQUEST, _EXPIRED)


def _http(error: HTTPException) -> Response:
    if error.response is not None or error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return make_response(error.get_response())
    try:
        status = HTTPStatus(error.code)
    except ValueError:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    answer = _answer(status, _SENTENCES.get(status, _SENTENCE))
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            answer.headers[name] = value
    return answer


def _database(error: OperationalError) -> Response:
    log.error("database failed", path=request.path, exc_info=error)
    return _answer(HTTPStatus.SERVICE_UNAVAILABLE, _DATABASE)


def _unexpected(error: Exception) -> Response:
    log.error("request failed", path=request.path, method=request.method, exc_info=error)
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, _SENTENCE)


def _answer(status: HTTPStatus, sentence: str) -> Response:
    if access.is_htmx():
        answer = make_response(render_template("errors/_notice.html", sentence=sentence), status)
        answer.headers["HX-Retarget"] = "#notices"
        answer.headers["HX-Reswap"] = "innerHTML"
        return answer
    page = render_template(
        "errors/error.html",
        title=_TITLES.get(status, _TITLE),
        sentence=sentence,
        status=int(status),
        back=g.get("back"),
    )
    return make_response(page, status)
