"""Static large objects: joining pieces, reading a manifest back, finding the piece that is broken.

What must always hold:
- The store checks every piece's ETag and size, and ours of the whole; nothing is stored otherwise.
- A piece is called damaged or missing only if the store said so of that piece.
- `multipart-manifest=delete` does not occur: pieces are shared.

The answer is asked for with heartbeats, so that a store which checks 1,000 pieces slowly does not
run into the limit of silence. It is 202 even for a manifest that was refused: the body tells.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from portal.domain.errors import ObjectDamaged, ObjectMissing, StoreError, StoreUnreachable
from portal.stores.interface import Segment, StoredObject
from portal.stores.rules import manifest_etag, shown
from portal.stores.swift_body import Body
from portal.stores.swift_errors import error_of
from portal.stores.swift_session import Exchange, SwiftSession, is_success, object_path
from portal.stores.swift_upload import bare_etag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portal.stores.swift_lane import Answer

DEEPEST = 10
"""How deep manifests may nest: Swift's own limit."""
CHECK_SECONDS = 900.0
"""How long a store may take to check the pieces of one manifest: nearly 1 s each."""

_LEADING_STATUS = re.compile(r"(\d{3}) ", re.ASCII)


def join(
    session: SwiftSession, name: str, segments: Sequence[Segment], *, content_type: str
) -> StoredObject:
    """PUT the manifest."""
    container = session.config.container
    listed = [
        {"path": f"/{container}/{one.name}", "etag": one.etag, "size_bytes": one.size}
        for one in segments
    ]
    body = Body(json.dumps(listed).encode())
    etag = manifest_etag(segments)
    path = object_path(container, name) + "?multipart-manifest=put&heartbeat=on"
    headers = {"Accept": "application/json", "Content-Type": content_type, "ETag": etag}

    def action(exchange: Exchange) -> StoredObject:
        body.rewind()
        answer = exchange.ask("PUT", path, headers=headers, body=body, seconds=CHECK_SECONDS)
        confirmed = _confirmed_etag(exchange, answer, name)
        if confirmed != etag:
            raise ObjectDamaged(f"The store confirmed another checksum for {shown(name)}.")
        return StoredObject(name, sum(one.size for one in segments), etag, is_manifest=True)

    return session.attempt(action)


def _confirmed_etag(exchange: Exchange, answer: Answer, name: str) -> str:
    """The ETag that the store gave the manifest, or the error that it told of."""
    told = _json_of(answer.body)
    errors = told.get("Errors") if isinstance(told, dict) else None
    if isinstance(errors, list) and errors:
        raise _worst_of(exchange, name, errors)
    inner = str(told.get("Response Status", "")) if isinstance(told, dict) else ""
    status = int(inner[:3]) if _LEADING_STATUS.match(inner) else answer.status
    if not is_success(status):
        # The inner status stands for an answer of its own; an expired token shows here, too.
        raise error_of(
            status, host=exchange.lane.host, what=f"the file {shown(name)}", writing=True
        )
    if isinstance(told, dict) and "Etag" in told:
        return str(told["Etag"]).strip('"').lower()
    if etag := bare_etag(answer.headers):
        return etag
    raise StoreUnreachable(
        f"The store at {exchange.lane.host} did not say whether it took {shown(name)}."
    )


def _worst_of(exchange: Exchange, name: str, errors: Sequence[Any]) -> StoreError:
    """One error for a manifest's list of refused pieces, `[path, reason]` each.

    A piece that could not be looked at comes first: with it, nothing is known of the others.
    """
    found: list[tuple[int, StoreError]] = []
    for entry in errors:
        path, reason = (*map(str, entry), "", "")[:2] if isinstance(entry, list) else ("", "")
        piece = shown(unquote(path).lstrip("/").partition("/")[2])
        status = _LEADING_STATUS.match(reason + " ")
        if status and int(status[1]) == 404:
            error: StoreError = ObjectMissing(f"The piece {piece} of {shown(name)} is not there.")
            found.append((1, error))
        elif status:
            error = error_of(
                int(status[1]), host=exchange.lane.host, what=f"the piece {piece} of {shown(name)}"
            )
            found.append((0, error))
        elif "mismatch" in reason.lower():
            what = "size" if "size" in reason.lower() else "checksum"
            error = ObjectDamaged(
                f"The piece {piece} of {shown(name)} has another {what} in the store.",
                # The piece has to be sent anew: the same manifest cannot become right.
                permanent=True,
            )
            found.append((2, error))
        else:
            found.append(
                (3, StoreError(f"The store does not take the piece {piece} of {shown(name)}."))
            )
    return min(found, key=lambda one: one[0])[1]


def pieces(session: SwiftSession, name: str) -> list[Segment]:
    """The manifest as it stands."""
    path = object_path(session.config.container, name) + "?multipart-manifest=get"
    answer = session.ask("GET", path, what=f"the object {shown(name)}")
    if answer.headers.get("x-static-large-object", "").lower() != "true":
        raise StoreError(f"The object {shown(name)} is not joined of pieces.")
    told = _json_of(answer.body)
    if not isinstance(told, list):
        raise ObjectDamaged(f"The list of pieces of {shown(name)} cannot be read.", permanent=True)
    return [_piece(one, container=session.config.container, of=name) for one in told]


def _piece(entry: Any, *, container: str, of: str) -> Segment:
    prefix = f"/{container}/"
    match entry:
        case {"name": str(path), "hash": str(etag), "bytes": int(size)} if (
            path.startswith(prefix) and "range" not in entry and size >= 0
        ):
            nested = entry.get("sub_slo") in {True, "true", "True"}
            return Segment(path.removeprefix(prefix), size, etag.strip('"'), is_manifest=nested)
        case _:
            raise StoreError(f"The file {shown(of)} has pieces that Snapport does not make.")


def diagnose(
    name: str,
    offset: int,
    *,
    pieces_of: Callable[[str], list[Segment]],
    head: Callable[[str], StoredObject | None],
    depth: int = 0,
) -> StoreError:
    """Why the bytes at `offset` of a manifest cannot be had.

    Swift says 409 for a piece that is missing, one that changed and one that could not be fetched
    alike; so look at that piece ourselves.
    """
    unreachable = StoreUnreachable(f"A piece of {shown(name)} could not be fetched at present.")
    if depth >= DEEPEST:
        return ObjectDamaged(f"The file {shown(name)} nests too deep.", permanent=True)
    start = 0
    for piece in pieces_of(name):
        if offset < start + piece.size:
            now = head(piece.name)
            if now is None:
                return ObjectDamaged(
                    f"The piece {shown(piece.name)} of {shown(name)} is missing.", permanent=True
                )
            if (now.etag, now.size) != (piece.etag, piece.size):
                return ObjectDamaged(
                    f"The piece {shown(piece.name)} of {shown(name)} is not what it was.",
                    permanent=True,
                )
            if piece.is_manifest:
                return diagnose(
                    piece.name, offset - start, pieces_of=pieces_of, head=head, depth=depth + 1
                )
            return unreachable
        start += piece.size
    return unreachable


def _json_of(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
