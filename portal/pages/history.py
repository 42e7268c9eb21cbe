"""Server snapshots: the history on the left, the form on the right, and what keeps them current.

What must always hold: a poll answers 204 unless something changed, and then with what changed only.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from flask import (
    Blueprint,
    Response,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)

from portal.domain import exclusions
from portal.domain.errors import Conflict, InvalidInput, NotFound
from portal.domain.kinds import Kind
from portal.domain.options import Options
from portal.pages import access, errors
from portal.pages.watching import Watched
from portal.services import offers, overview, snapshots, stores

if TYPE_CHECKING:
    from portal.domain.errors import SnapportError
    from portal.records import Server

blueprint = Blueprint("history", __name__)

EMPTY = "none"
"""What a page with an empty history says it shows; a table whose last line went says nothing."""
_SHOWN_MAX = 2 * snapshots.HISTORY_PAGE
_NUMBER_DIGITS = 18


@blueprint.get("/servers/<number:server_id>/snapshots")
def show(server_id: int) -> str:
    """The page; `?before=` a snapshot's number shows older ones."""
    return _page(access.server(server_id))


@blueprint.post("/servers/<number:server_id>/snapshots")
def take(server_id: int) -> Response:
    """Ask for a snapshot."""
    server = access.server(server_id)
    work = access.work()
    kind = request.form.get("kind", "")
    try:
        try:
            store = access.store_of_form(request.form.get("store", ""))
            snapshots.take(
                work,
                access.actor(),
                server,
                store,
                kind,
                options=_options(),
            )
        except NotFound as error:
            raise InvalidInput(error.message, field="store") from error
    except (InvalidInput, Conflict) as error:
        return make_response(_page(server, error=error), errors.status_of(error))
    work.commit()
    flash(
        "The snapshot is noted. It starts by itself when the job queue is back."
        if work.queue_down
        else "The snapshot is on its way: it starts as soon as the server's host can."
    )
    return make_response(redirect(url_for("history.show", server_id=server.id), 303))


@blueprint.get("/servers/<number:server_id>/snapshots/changes")
def changes(server_id: int) -> Response:
    """What is new since the page was last told; `shown` lists its lines as `NUMBER.STATE`."""
    server = access.server(server_id)
    shown = _shown()
    present, newer = snapshots.since(access.work(), access.actor(), server, list(shown))
    lines = {number: Watched(line) for number, line in present.items()}
    changed = [line for number, line in lines.items() if shown[number] != line.key]
    gone = [number for number in shown if number not in lines]
    fresh = [Watched(line) for line in newer]
    emptied = not shown and EMPTY not in request.args.getlist("shown")
    if not (changed or gone or fresh or emptied):
        return make_response("", 204)
    if not shown or len(gone) == len(shown):
        # Between an empty history and one with lines the whole of it changes.
        answer = make_response(_history(server))
        answer.headers["HX-Retarget"] = "#history"
        answer.headers["HX-Reswap"] = "outerHTML"
    else:
        answer = make_response(
            render_template("snapshots/_changes.html", changed=changed, gone=gone, fresh=fresh)
        )
    news = [line.news for line in (*changed, *fresh)]
    if gone and not news:
        news = ["A snapshot was deleted."]
    tell(answer, " ".join(news))
    return answer


@blueprint.get("/servers/<number:server_id>/snapshots/form")
def form(server_id: int) -> Response:
    """The form anew, if it would look different from what was `seen`."""
    panel = _panel(access.server(server_id))
    if request.args.get("seen") == panel["seen"]:
        return make_response("", 204)
    return make_response(render_template("snapshots/_form.html", **panel))


def tell(answer: Response, news: str) -> None:
    """Let the page announce the news politely, and look whether its form still fits."""
    events = {"announce": news} if news else {}
    answer.headers["HX-Trigger-After-Swap"] = json.dumps(events | {"snapshots-changed": ""})


def _page(server: Server, *, error: SnapportError | None = None) -> str:
    g.back = url_for("history.show", server_id=server.id)
    return render_template(
        "snapshots/history.html",
        **_lines(server),
        **_panel(server, error=error),
    )


def _history(server: Server) -> str:
    return render_template("snapshots/_history.html", server=server, **_lines(server))


def _lines(server: Server) -> dict[str, Any]:
    work, actor = access.work(), access.actor()
    before = request.args.get("before", "")
    older_than = int(before) if _is_number(before) else None
    limit = snapshots.HISTORY_PAGE
    found = snapshots.history(work, actor, server, before=older_than, limit=limit + 1)
    return {
        "lines": [Watched(line) for line in found[:limit]],
        "more": len(found) > limit,
        "first_page": older_than is None,
        "total": snapshots.count(work, actor, server),
    }


def _panel(server: Server, *, error: SnapportError | None = None) -> dict[str, Any]:
    work, actor = access.work(), access.actor()
    job = snapshots.active_job(work, server)
    readiness = overview.readiness(work, server)
    found = stores.list_for(work, actor, server.account_id)
    shown = (
        job.id if job else None,
        readiness.host_here,
        readiness.queue_up,
        [store.id for store in found],
    )
    return {
        "server": server,
        "job": job,
        "readiness": readiness,
        "stores": found,
        "error": error,
        "chosen_store": request.values.get("store", ""),
        "chosen_kind": request.values.get("kind", ""),
        "every_sector": "every_sector" in request.values,
        "gzip": "gzip" in request.values,
        "fixed": "fixed" in request.values,
        "exclude": request.values.get("exclude", "\n".join(exclusions.SUGGESTED)),
        "offers": offers.offers(work, server),
        "seen": hashlib.sha256(repr(shown).encode()).hexdigest()[:12],
    }


def _options() -> Options:
    """What was chosen beside the kind. Raises `InvalidInput`."""
    form = request.form
    tar = form.get("kind") == Kind.TAR
    return Options(
        skip_unused="every_sector" not in form,
        gzip=tar and "gzip" in form,
        exclude=exclusions.check(form.get("exclude", "").splitlines()) if tar else (),
        fixed=form.get("kind") == Kind.VHD and "fixed" in form,
    )


def _shown() -> dict[int, str]:
    shown = {}
    for told in request.args.getlist("shown")[:_SHOWN_MAX]:
        number, _, key = told.partition(".")
        if _is_number(number):
            shown[int(number)] = key
    return shown


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS
