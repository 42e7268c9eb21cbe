"""Listings of a container, page by page.

What must always hold: the listing ends with an empty page, not with a short one, and a store that
gives a page out of order cannot make it go on for ever.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from portal.domain.errors import StoreError, StoreRefused
from portal.stores.interface import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.stores.swift_session import SwiftSession


def entries(
    session: SwiftSession, prefix: str, *, page: int, delimiter: str = ""
) -> Iterator[dict[str, Any]]:
    """Swift's own entries: objects with `name`, and with a delimiter also `subdir`."""
    container = session.config.container
    marker = ""
    while True:
        query = {"format": "json", "limit": str(page), "prefix": prefix, "marker": marker}
        if delimiter:
            query["delimiter"] = delimiter
        asked = urlencode(query, quote_via=quote, safe="")
        answer = session.ask(
            "GET", f"/{quote(container)}?{asked}", what=f"the container “{container}”"
        )
        found = _page(answer.body, session)
        if not found:
            return
        for entry in found:
            name = entry.get("name", entry.get("subdir"))
            if not isinstance(name, str) or name.encode(errors="replace") <= marker.encode(
                errors="replace"
            ):
                raise StoreError(f"The store lists the container “{container}” out of order.")
            marker = name
            yield entry


def object_of(entry: dict[str, Any]) -> StoredObject | None:
    """The object of an entry; None for a folder or nonsense."""
    match entry:
        case {"name": str(name), "bytes": int(size), "hash": str(etag)}:
            # Since 2018 Swift tells the ETag of the joined file beside the manifest's own.
            joined = entry.get("slo_etag")
            if isinstance(joined, str):
                return StoredObject(name, size, joined.strip('"'), is_manifest=True)
            return StoredObject(name, size, etag)
        case _:
            return None


def _page(body: bytes, session: SwiftSession) -> list[dict[str, Any]]:
    if not body:
        return []  # 204
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        host = session.keyring.access().url.split("/")[2]
        raise StoreRefused(f"{host} does not answer like an object store.")
    return told
