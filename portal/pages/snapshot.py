"""One snapshot: its files, its progress, cancelling and deleting it."""

from __future__ import annotations

from typing import Any

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

from portal.domain.errors import SnapportError
from portal.domain.kinds import Kind
from portal.domain.lifecycle import SnapshotState
from portal.domain.options import Options
from portal.pages import access
from portal.pages.history import tell
from portal.pages.watching import Watched
from portal.records.file import FileRole
from portal.services import downloads, offers, snapshots

blueprint = Blueprint("snapshot", __name__)


@blueprint.get("/snapshots/<number:snapshot_id>")
def show(snapshot_id: int) -> str:
    """The snapshot's own page."""
    watched = _watched(snapshot_id)
    found = downloads.files(access.work(), watched.snapshot)
    return render_template(
        "snapshots/snapshot.html",
        watched=watched,
        server=watched.snapshot.server,
        files=found if watched.snapshot.state is SnapshotState.DONE else [],
        images=[file for file in found if file.role is FileRole.IMAGE],
        exports=offers.exports_of(watched.snapshot),
    )


@blueprint.get("/snapshots/<number:snapshot_id>/progress")
def progress(snapshot_id: int) -> Response:
    """How far it is, if that is not what was `seen`; its whole line when its state changed."""
    snapshot = access.snapshot(snapshot_id)
    watched = Watched(snapshots.line_of(access.work(), snapshot))
    seen = request.args.get("seen", "")
    if seen == watched.seen:
        return make_response("", 204)
    own_page = request.args.get("on") == "page"
    if seen.partition(".")[0] == watched.key:
        return make_response(
            render_template("snapshots/_progress.html", watched=watched, own_page=own_page)
        )
    if own_page:
        answer = make_response("")
        if snapshot.state is SnapshotState.GONE:
            flash("The snapshot is deleted.")
            answer.headers["HX-Redirect"] = _history_of(watched)
        else:
            answer.headers["HX-Refresh"] = "true"
        return answer
    return _line(watched)


@blueprint.post("/snapshots/<number:snapshot_id>/export")
def export(snapshot_id: int) -> Response:
    """Make an export of a stored raw snapshot."""
    origin = access.present_snapshot(snapshot_id)
    work = access.work()
    g.back = url_for("snapshot.show", snapshot_id=snapshot_id)
    kind = request.form.get("kind", "")
    options = Options(
        skip_unused="every_sector" not in request.form,
        fixed=kind == Kind.VHD and "fixed" in request.form,
    )
    snapshots.export(work, access.actor(), origin, kind, options=options)
    work.commit()
    flash(
        "The export is noted. It starts by itself when the job queue is back."
        if work.queue_down
        else "The export is on its way. The server is not touched."
    )
    return make_response(redirect(url_for("history.show", server_id=origin.server_id), 303))


@blueprint.post("/snapshots/<number:snapshot_id>/cancel")
def cancel(snapshot_id: int) -> Response:
    """Stop a snapshot that waits or runs."""
    snapshot = access.present_snapshot(snapshot_id)
    work = access.work()
    g.back = url_for("snapshot.show", snapshot_id=snapshot_id)
    snapshots.cancel(work, access.actor(), snapshot)
    work.commit()
    watched = Watched(snapshots.line_of(work, snapshot))
    if access.is_htmx():
        return _line(watched)
    flash(
        "The snapshot is cancelled."
        if snapshot.state is SnapshotState.CANCELLED
        else "The snapshot stops as soon as its worker has looked, and clears up after itself."
    )
    return make_response(redirect(_history_of(watched), 303))


@blueprint.get("/snapshots/<number:snapshot_id>/delete")
def confirm_delete(snapshot_id: int) -> str:
    """Say what is lost, and ask."""
    watched = _watched(snapshot_id)
    template = "snapshots/_delete.html" if access.is_htmx() else "snapshots/delete.html"
    return render_template(template, **_confirmation(watched))


@blueprint.post("/snapshots/<number:snapshot_id>/delete")
def delete(snapshot_id: int) -> Response:
    """Delete it."""
    snapshot = access.present_snapshot(snapshot_id)
    work = access.work()
    g.back = url_for("snapshot.show", snapshot_id=snapshot_id)
    snapshots.delete(work, access.actor(), snapshot)
    work.commit()
    flash(
        "The snapshot is deleted."
        if snapshot.state is SnapshotState.GONE
        else "The snapshot is noted for deletion. It starts when the job queue is back."
        if work.queue_down
        else "The snapshot is being deleted."
    )
    where = url_for("history.show", server_id=snapshot.server_id)
    return make_response(redirect(where, 303))


@blueprint.get("/snapshots/<number:snapshot_id>/files/<label>")
def download(snapshot_id: int, label: str) -> Response:
    """To the file itself, in the store, by an address that expires."""
    snapshot = access.present_snapshot(snapshot_id)
    work = access.work()
    g.back = url_for("snapshot.show", snapshot_id=snapshot_id)
    file = downloads.find_file(work, snapshot, label)
    return make_response(redirect(downloads.link(work, snapshot, file), 303))


@blueprint.get("/snapshots/<number:snapshot_id>/readme")
def readme(snapshot_id: int) -> str:
    """README.txt to read here; for htmx only its text."""
    snapshot = access.present_snapshot(snapshot_id)
    g.back = url_for("snapshot.show", snapshot_id=snapshot_id)
    try:
        text = downloads.readme(access.work(), snapshot)
    except SnapportError as error:
        if not access.is_htmx():
            raise
        # Said where the text would stand: the rest of the page is none the worse for it.
        return render_template("errors/_notice.html", sentence=error.message)
    template = "snapshots/_readme.html" if access.is_htmx() else "snapshots/readme.html"
    watched = Watched(snapshots.line_of(access.work(), snapshot))
    return render_template(template, text=text, watched=watched, server=snapshot.server)


def _watched(snapshot_id: int) -> Watched:
    return Watched(snapshots.line_of(access.work(), access.present_snapshot(snapshot_id)))


def _line(watched: Watched) -> Response:
    answer = make_response("")
    if watched.snapshot.state is SnapshotState.GONE:
        answer.headers["HX-Reswap"] = "delete"
    else:
        answer = make_response(render_template("snapshots/_line.html", watched=watched))
        answer.headers["HX-Reswap"] = "outerHTML"
    answer.headers["HX-Retarget"] = f"#snapshot-{watched.snapshot.id}"
    tell(answer, watched.news)
    return answer


def _confirmation(watched: Watched) -> dict[str, Any]:
    snapshot = watched.snapshot
    stored = snapshot.state in {SnapshotState.DONE, SnapshotState.BROKEN}
    job = snapshots.active_job(access.work(), snapshot.server) if stored else None
    return {
        "watched": watched,
        "server": snapshot.server,
        "stored": stored,
        "busy": job is not None or watched.unsettled,
    }


def _history_of(watched: Watched) -> str:
    return url_for("history.show", server_id=watched.snapshot.server_id)
