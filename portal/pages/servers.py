"""Servers: the list, and one server's manage page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from portal.domain.lifecycle import ACTIVE_JOBS
from portal.pages import access
from portal.pages.watching import STATES
from portal.services import inspections, overview, snapshots

if TYPE_CHECKING:
    from portal.records import Server

blueprint = Blueprint("servers", __name__)

_TEXT_MAX = 255


@blueprint.get("/")
def home() -> Response:
    """The list is the first page."""
    return make_response(redirect(url_for("servers.show_list"), 303))


@blueprint.get("/servers")
def show_list() -> str:
    """The signed-in user's servers; `?q=` narrows, `?page=` goes on."""
    text = request.args.get("q", "").replace("\0", "").strip()[:_TEXT_MAX]
    number = request.args.get("page", "1")
    page = overview.servers(
        access.work(),
        access.actor(),
        text=text,
        number=int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 1,
    )
    return render_template("servers/list.html", page=page, text=text, states=STATES)


@blueprint.get("/servers/<number:server_id>")
def show(server_id: int) -> str:
    """The manage page."""
    server = access.server(server_id)
    return render_template(
        "servers/manage.html",
        readiness=overview.readiness(access.work(), server),
        snapshots=snapshots.count(access.work(), access.actor(), server),
        **_disks(server),
    )


@blueprint.get("/servers/<number:server_id>/disks")
def disks(server_id: int) -> Response:
    """The disks anew; 204 while the worker still looks at them."""
    found = _disks(access.server(server_id))
    if found["looking"]:
        return make_response("", 204)
    return make_response(render_template("servers/_disks.html", **found))


@blueprint.post("/servers/<number:server_id>/disks")
def inspect(server_id: int) -> Response:
    """Ask the server's host to look at its disks."""
    server = access.server(server_id)
    work = access.work()
    inspections.ask(work, access.actor(), server)
    work.commit()
    return make_response(redirect(url_for("servers.show", server_id=server.id), 303))


def _disks(server: Server) -> dict[str, Any]:
    job = inspections.latest_job(access.work(), server)
    return {
        "server": server,
        "disks": [(disk, inspections.layout_of(disk)) for disk in server.disks],
        "job": job,
        "looking": job is not None and job.state in ACTIVE_JOBS,
    }
