"""OpenStack Swift as a store.

What must always hold: as `portal.stores.interface` says. This file only puts together what its
neighbours do: `swift_session` (who asks, and again), `swift_upload`, `swift_download`,
`swift_manifest`, `swift_listing`, `swift_delete`, `temp_url`.

How fast it is stands beside `SEND_CHUNK` in `swift_body` and `RECEIVE_CHUNK` in `swift_download`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from portal.domain.errors import ObjectMissing, StoreRefused
from portal.stores.header_number import header_number
from portal.stores.interface import Segment, Store, StoredObject, StoreLimits
from portal.stores.rules import check_manifest, check_md5, check_name, shown
from portal.stores.swift_body import Body, FileBody
from portal.stores.swift_delete import delete_all, delete_one
from portal.stores.swift_download import Download
from portal.stores.swift_info import SwiftInfo, info_of
from portal.stores.swift_listing import entries, object_of
from portal.stores.swift_manifest import diagnose, join, pieces
from portal.stores.swift_session import SwiftSession, object_path
from portal.stores.swift_upload import bare_etag, check_size, upload
from portal.stores.temp_url import signed_url, slot_to_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from typing_extensions import Buffer

    from portal.stores.config import StoreConfig


class SwiftStore(Store):
    """One container of one Swift account. Opening it asks nothing of the network yet."""

    def __init__(self, config: StoreConfig, *, page: int | None = None) -> None:
        self.container = config.container
        self._config = config
        self._page = page
        self._session = SwiftSession(config)
        self._info_lock = threading.Lock()
        self._known: SwiftInfo | None = None

    def limits(self) -> StoreLimits:
        return self._info().limits

    def ensure_container(self) -> None:
        path = f"/{quote(self.container)}"
        what = f"the container {shown(self.container)}"
        if self._info().limits.manifest_segments == 0:
            raise StoreRefused("This store cannot join parts into files (static large objects).")
        answer = self._session.ask("HEAD", path, what=what, fine=(404,))
        if answer.status == 404:
            self._session.ask("PUT", path, what=what, writing=True)
            answer = self._session.ask("HEAD", path, what=what)
        key = self._config.temp_url_key
        if not (key and self._info().limits.temp_url):
            return
        if slot := slot_to_set(answer.headers, key):
            self._session.ask("POST", path, headers={slot: key}, what=what)

    def put(self, name: str, body: Buffer, *, md5: str, content_type: str) -> StoredObject:
        return self._put(name, Body(body), md5, content_type)

    def put_stream(
        self, name: str, body: BinaryIO, *, size: int, md5: str, content_type: str
    ) -> StoredObject:
        return self._put(name, FileBody(body, size), md5, content_type)

    def put_manifest(
        self, name: str, segments: Sequence[Segment], *, content_type: str
    ) -> StoredObject:
        check_name(name)
        check_manifest(name, segments, limit=self.limits().manifest_segments)
        return join(self._session, name, segments, content_type=content_type)

    def head(self, name: str) -> StoredObject | None:
        path = object_path(self.container, check_name(name))
        answer = self._session.ask("HEAD", path, what=f"the object {shown(name)}", fine=(404,))
        if answer.status == 404:
            return None
        etag = bare_etag(answer.headers)
        size = header_number(answer.headers.get("content-length", ""))
        if not etag or size is None:
            raise StoreRefused("The server that was asked does not answer like an object store.")
        manifest = answer.headers.get("x-static-large-object", "").lower() == "true"
        return StoredObject(name, size, etag, is_manifest=manifest)

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        check_name(name)
        if length == 0:
            if self.head(name) is None:
                raise ObjectMissing(f"The store has not got the object {shown(name)}.")
            return
        yield from Download(
            self._session,
            name,
            start=start,
            length=length,
            why_broken=lambda offset: diagnose(
                name, offset, pieces_of=self.manifest_segments, head=self.head
            ),
        ).chunks()

    def manifest_segments(self, name: str) -> list[Segment]:
        return pieces(self._session, check_name(name))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for entry in entries(self._session, prefix, page=self._page_size()):
            if found := object_of(entry):
                yield found

    def folders(self, prefix: str = "") -> Iterator[str]:
        for entry in entries(self._session, prefix, page=self._page_size(), delimiter="/"):
            if isinstance(folder := entry.get("subdir"), str):
                yield folder

    def delete(self, name: str) -> bool:
        return delete_one(self._session, check_name(name))

    def delete_many(self, names: Iterable[str]) -> int:
        return delete_all(self._session, names, bulk=self._info().bulk_deletes)

    def temp_url(self, name: str, *, filename: str, seconds: int) -> str:
        return signed_url(
            self._session.attempt(lambda exchange: exchange.access.url),
            self.container,
            check_name(name),
            key=self._config.temp_url_key,
            seconds=seconds,
            filename=filename,
            digests=self._info().digests,
        )

    def close(self) -> None:
        self._session.close()

    def _put(self, name: str, body: Body | FileBody, md5: str, content_type: str) -> StoredObject:
        check_size(check_name(name), body.size, limit=self.limits().object_bytes)
        return upload(self._session, name, body, md5=check_md5(md5), content_type=content_type)

    def _page_size(self) -> int:
        return min(self._page or self.limits().listing, 10_000)

    def _info(self) -> SwiftInfo:
        with self._info_lock:
            if self._known is None:
                self._known = self._session.attempt(
                    lambda exchange: info_of(
                        exchange.lane.ask("GET", exchange.access.info_path, headers={})
                    )
                )
            return self._known
