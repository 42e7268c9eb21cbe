"""Who asks, and how a view loads what they may see.

What must always hold:
- A view is closed to strangers unless it is marked `open_to_all`; the check runs before routing's
  errors, CSRF and rate limits tell anything.
- What belongs to somebody else is not found, in a path as in a form.
- After signing in, people are sent only to this portal's own paths.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    request,
    session,
    url_for,
)
from werkzeug.routing import IntegerConverter

from portal.domain.errors import NotFound
from portal.domain.lifecycle import SnapshotState
from portal.services import authority, users
from portal.services.authority import Actor

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.records import Server, Snapshot, StoreRecord, User
    from portal.work import Runtime, Work

_NUMBER_MAX = 2**63 - 1
_View = TypeVar("_View", bound="Callable[..., object]")


class Number(IntegerConverter):
    """A record's number in a path; what no database could hold is no such page."""

    def __init__(self, map: object) -> None:  # noqa: A002 - werkzeug's name
        super().__init__(map, min=1, max=_NUMBER_MAX)  # type: ignore[arg-type]


def open_to_all(view: _View) -> _View:
    """Mark a view that needs nobody signed in."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def register(app: Flask) -> None:
    """Close every view, open a work for each request that needs one, tell templates who asks."""
    app.before_request(_require_sign_in)
    app.teardown_request(_close_work)
    app.context_processor(lambda: {"user": g.get("user"), "is_htmx": is_htmx()})


def runtime() -> Runtime:
    """What this process opened once."""
    return cast("Runtime", current_app.extensions["snapport"])


def work() -> Work:
    """The work of this request, opened at the first call; the view commits it."""
    if "work" not in g:
        g.work_stack = ExitStack()
        g.work = g.work_stack.enter_context(runtime().work())
    return cast("Work", g.work)


def user() -> User:
    """The signed-in user."""
    found: User | None = g.get("user")
    if found is None:
        # Only a view that is open to all can come here, and those do not ask.
        raise NotFound("There is no such page.")
    return found


def actor() -> Actor:
    """The signed-in user, as services want to know them."""
    return Actor.of(user())


def server(server_id: int) -> Server:
    """The server, if it is theirs."""
    return authority.load_server(work(), actor(), server_id)


def snapshot(snapshot_id: int) -> Snapshot:
    """The snapshot, if it is theirs, also one that was just deleted: pages that watch must tell."""
    return authority.load_snapshot(work(), actor(), snapshot_id)


def present_snapshot(snapshot_id: int) -> Snapshot:
    """The snapshot, if it is theirs and not deleted."""
    found = snapshot(snapshot_id)
    if found.state is SnapshotState.GONE:
        raise NotFound("There is no such snapshot.")
    return found


def store_of_form(text: str) -> StoreRecord:
    """The store that a form names by its number, if it is theirs."""
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(_NUMBER_MAX))):
        raise NotFound("There is no such store.")
    return authority.load_store(work(), actor(), int(text))


def sign_in(who: User) -> None:
    """Begin a session; whatever the old one held is dropped, its CSRF token too."""
    session.clear()
    session.permanent = True
    session["user"] = who.id
    session["epoch"] = who.session_epoch


def is_htmx() -> bool:
    """Whether htmx asks for a fragment."""
    return request.headers.get("HX-Request") == "true"


def own_path(address: str) -> str | None:
    """The address, if it is a plain path of this portal; None otherwise."""
    if not address.startswith("/") or address.startswith("//") or len(address) > 2000:
        return None
    # Browsers take "\" for "/" and drop tabs and newlines: "/\evil.example" would leave.
    if "\\" in address or any(ord(c) < 32 or ord(c) == 127 for c in address):
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return None if parts.scheme or parts.netloc else address


def _require_sign_in() -> Response | None:
    view = current_app.view_functions.get(request.endpoint or "")
    if request.endpoint == "static" or getattr(view, "outside_sessions", False):
        return None
    number, epoch = session.get("user"), session.get("epoch")
    if isinstance(number, int) and isinstance(epoch, int):
        g.user = users.signed_in(work(), number, epoch)
    if g.get("user") is not None or getattr(view, "open_to_all", False):
        return None
    # Not all of it: the token of a sign-in form that is open in another tab stays good.
    session.pop("user", None)
    session.pop("epoch", None)
    back = _page_to_return_to()
    where = url_for("sign_in.show", next=back) if back else url_for("sign_in.show")
    if is_htmx():
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = where
        return answer
    return make_response(redirect(where, 303))


def _page_to_return_to() -> str | None:
    """The page that the person sees: not the fragment that htmx asks for, nor a form's target."""
    if not is_htmx() and request.method == "GET":
        asked = request.full_path.rstrip("?")
        return None if asked == "/" else own_path(asked)
    seen = urlsplit(request.headers.get("HX-Current-URL", "") or request.referrer or "")
    if seen.netloc != request.host:
        return None
    return own_path(seen.path + (f"?{seen.query}" if seen.query else ""))


def _close_work(_error: BaseException | None) -> None:
    stack: ExitStack | None = g.pop("work_stack", None)
    g.pop("work", None)
    if stack is not None:
        stack.close()
