"""PUT of one object, checked on both sides.

What must always hold: the store verifies our MD5 (it refuses the object otherwise), and what it
says it stored is compared with ours once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from portal.domain.errors import ObjectDamaged, StoreError, StoreRefused
from portal.stores.interface import StoredObject
from portal.stores.rules import shown
from portal.stores.swift_session import Exchange, SwiftSession, is_success, object_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal.stores.swift_body import Body, FileBody


def upload(
    session: SwiftSession, name: str, body: Body | FileBody, *, md5: str, content_type: str
) -> StoredObject:
    """Send the body, as often as it takes."""
    config = session.config
    path = object_path(config.container, name)
    headers = {"ETag": md5, "Content-Type": content_type, "Content-Length": str(body.size)}
    interrupted = False

    def action(exchange: Exchange) -> StoredObject:
        nonlocal interrupted
        if interrupted:
            # A gateway may answer 401 or 413 in the middle of a body and cut the connection, and
            # its answer is lost: ask without a body first, which shows a refused token.
            exchange.ask("HEAD", f"/{quote(config.container)}")
        body.rewind()
        interrupted = True
        answer = exchange.ask("PUT", path, headers=headers, body=body)
        interrupted = False
        if not is_success(answer.status):
            raise exchange.error(answer, f"the object {shown(name)}", writing=True)
        etag = bare_etag(answer.headers)
        if not etag:
            raise StoreRefused(f"{exchange.lane.host} does not answer like an object store.")
        if etag != md5:
            raise ObjectDamaged(f"The store confirmed another checksum for {shown(name)}.")
        return StoredObject(name, body.size, etag)

    return session.attempt(action)


def check_size(name: str, size: int, *, limit: int) -> None:
    """Refuse an object that is larger than the store takes."""
    if size > limit:
        raise StoreError(
            f"The object {shown(name)} has {size} bytes, the store takes at most {limit} in one."
        )


def bare_etag(headers: Mapping[str, str]) -> str:
    """The ETag without quotes: manifests' ETags are quoted."""
    return headers.get("etag", "").strip('"').lower()
