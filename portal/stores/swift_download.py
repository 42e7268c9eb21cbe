"""GET of an object as a stream that goes on where it broke.

What must always hold:
- It ends with exactly the bytes asked for, or raises.
- All pieces come from the same object: a resumed read asks for the ETag of the first.
- A plain object read whole is checked against its MD5.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from portal.domain.errors import ObjectDamaged, ObjectMissing, StoreError, StoreUnreachable
from portal.stores.header_number import header_number
from portal.stores.patience import Patience
from portal.stores.rules import shown
from portal.stores.swift_errors import TokenRefused
from portal.stores.swift_session import Exchange, SwiftSession, object_path
from portal.stores.swift_upload import bare_etag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portal.stores.swift_lane import Stream

RECEIVE_CHUNK = 1024 * 1024
"""Bytes in a chunk that `get` gives.

Reading 16 MiB objects on 2 threads: 220 MB/s with 64 KiB, 318 with 256 KiB, 324 with 1 MiB, 224
with 4 MiB; plain http.client, without an MD5, 367.
"""
PROGRESS = 8 * RECEIVE_CHUNK
"""Bytes received since the last failure that make a new failure a new trouble."""

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_OUTSIDE = re.compile(r"bytes \*/(\d{1,19})", re.ASCII)


class Download:
    """One read of `name` from `start`, `length` bytes or all the rest."""

    def __init__(
        self,
        session: SwiftSession,
        name: str,
        *,
        start: int,
        length: int | None,
        why_broken: Callable[[int], StoreError],
    ) -> None:
        if start < 0 or (length is not None and length < 1):
            raise ValueError("a download begins at 0 or later and asks for a byte or more")
        self._session = session
        self._name = name
        self._path = object_path(session.config.container, name)
        self._start = start
        self._at = start
        self._end = None if length is None else start + length
        self._etag = ""
        self._digest = hashlib.md5(usedforsecurity=False) if (start, length) == (0, None) else None
        self._why_broken = why_broken

    def chunks(self) -> Iterator[bytes]:
        """The bytes."""
        patience = Patience(self._session.config.retry_seconds)
        renewed_at = -1
        failed_at = self._at
        while self._end is None or self._at < self._end:
            access = None
            try:
                access = self._session.keyring.access()
                with self._session.lanes.lend(access.url) as lane:
                    yield from self._run(Exchange(lane, access))
            except TokenRefused:
                if access is None or renewed_at == self._at:
                    raise
                self._session.keyring.renew(access)
                renewed_at = self._at
            except StoreError as error:
                if self._at - failed_at >= PROGRESS:
                    patience.restart()
                failed_at = self._at
                patience.pause_or_raise(error)
        if self._digest is not None and self._digest.hexdigest() != self._etag:
            raise ObjectDamaged(
                f"The object {shown(self._name)} does not have its checksum any more.",
                permanent=True,
            )

    def _run(self, exchange: Exchange) -> Iterator[bytes]:
        stream = exchange.open(self._path, headers=self._asked())
        end = self._checked(exchange, stream)
        while self._at < end:
            chunk = stream.read(min(RECEIVE_CHUNK, end - self._at))
            if not chunk:
                raise StoreUnreachable(
                    f"The store at {exchange.lane.host} stopped in the middle of an object."
                )
            self._at += len(chunk)
            if self._digest is not None:
                self._digest.update(chunk)
            yield chunk

    def _asked(self) -> dict[str, str]:
        headers = {}
        if self._at or self._end is not None:
            last = "" if self._end is None else str(self._end - 1)
            headers["Range"] = f"bytes={self._at}-{last}"
        if self._etag:
            headers["If-Match"] = f'"{self._etag}"'
        return headers

    def _checked(self, exchange: Exchange, stream: Stream) -> int:  # noqa: C901 - a case a status
        """Where this answer ends, once it is clear that it is the one asked for."""
        what = f"the object {shown(self._name)}"
        match stream.status:
            case 200 if self._at == 0:
                size = header_number(stream.headers.get("content-length", ""))
                if size is None:
                    raise StoreError(f"The store does not tell the size of {what}.")
            case 206 if found := _RANGE.fullmatch(stream.headers.get("content-range", "")):
                first, last, size = (int(number) for number in found.groups())
                if first != self._at or (last + 1 < size and last + 1 != self._end):
                    raise StoreError(f"The store gave another range of {what} than was asked for.")
            case 416 if found := _OUTSIDE.fullmatch(stream.headers.get("content-range", "")):
                size = int(found[1])
            case 409:
                raise self._why_broken(self._at)
            case 412:
                raise ObjectDamaged(f"Somebody replaced {what} while it was read.", permanent=True)
            case 404 if self._etag:
                raise ObjectMissing(f"Somebody deleted {what} while it was read.")
            case 200 | 206:
                raise StoreError(f"The store gave another range of {what} than was asked for.")
            case 416:
                raise StoreError(f"The store cannot give this range of {what}.")
            case _:
                raise exchange.error(stream, what)
        wanted = size if self._end is None else self._end
        if wanted > size or self._at > size:
            raise ObjectDamaged(
                f"{what[0].upper()}{what[1:]} has {size} bytes, more were expected.", permanent=True
            )
        self._end = wanted
        self._etag = self._etag or bare_etag(stream.headers)
        if "x-static-large-object" in stream.headers or "x-object-manifest" in stream.headers:
            self._digest = None
        return wanted if stream.status != 416 else self._at
