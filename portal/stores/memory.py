"""A store in memory, under the same contract as the real ones: for tests and trials.

What must always hold: it refuses what Swift refuses (a wrong MD5, a manifest whose pieces differ,
a name that cannot be), and a manifest is read through its pieces as they stand at that moment.

Its container lives as long as the process; `MemoryStore.at` gives everybody in the process the
same one. `faults` (see `memory_faults`) makes it fail on purpose; `quota` bounds its bytes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode

from portal.domain.errors import ObjectDamaged, ObjectMissing, StoreError, StoreFull
from portal.stores.interface import Segment, Store, StoredObject, StoreLimits
from portal.stores.memory_faults import Faults
from portal.stores.rules import check_manifest, check_md5, check_name, manifest_etag, shown
from portal.stores.swift_body import FileBody
from portal.stores.swift_upload import check_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from typing_extensions import Buffer

CHUNK = 1024 * 1024


@dataclass(slots=True)
class _Held:
    etag: str
    size: int
    content_type: str
    data: bytes = b""
    pieces: tuple[Segment, ...] | None = None


@dataclass(slots=True)
class _Container:
    exists: bool = False
    held: dict[str, _Held] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    faults: Faults = field(default_factory=Faults)


class MemoryStore(Store):
    """One container in memory."""

    _shared: ClassVar[dict[tuple[str, str], _Container]] = {}
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        container: str = "memory",
        *,
        limits: StoreLimits | None = None,
        quota: int | None = None,
    ) -> None:
        self.container = container
        self.quota = quota
        self._limits = limits or StoreLimits()
        self._inside = _Container()

    @classmethod
    def at(cls, address: str, container: str) -> MemoryStore:
        """The store that everybody in this process finds at this address."""
        store = cls(container)
        with cls._shared_lock:
            store._inside = cls._shared.setdefault((address, container), store._inside)
        return store

    @property
    def faults(self) -> Faults:
        """What shall go wrong."""
        return self._inside.faults

    def limits(self) -> StoreLimits:
        return self._limits

    def ensure_container(self) -> None:
        self.faults.meet("ensure_container")
        self._inside.exists = True

    def put(self, name: str, body: Buffer, *, md5: str, content_type: str) -> StoredObject:
        return self._put("put", name, bytes(memoryview(body).cast("B")), md5, content_type)

    def put_stream(
        self, name: str, body: BinaryIO, *, size: int, md5: str, content_type: str
    ) -> StoredObject:
        check_size(check_name(name), size, limit=self._limits.object_bytes)
        source = FileBody(body, size)
        data = b"".join(iter(lambda: bytes(source.read(CHUNK)), b""))
        return self._put("put_stream", name, data, md5, content_type)

    def put_manifest(
        self, name: str, segments: Sequence[Segment], *, content_type: str
    ) -> StoredObject:
        check_name(name)
        check_manifest(name, segments, limit=self._limits.manifest_segments)
        self.faults.meet("put_manifest", name)
        with self._inside.lock:
            pieces = tuple(self._checked_piece(name, one) for one in segments)
            etag, size = manifest_etag(pieces), sum(one.size for one in pieces)
            self._keep(name, _Held(etag, size, content_type, pieces=pieces))
        return StoredObject(name, size, etag, is_manifest=True)

    def head(self, name: str) -> StoredObject | None:
        self.faults.meet("head", check_name(name))
        with self._inside.lock:
            held = self._inside.held.get(name)
            return None if held is None else _told(name, held)

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        fault = self.faults.meet("get", check_name(name))
        if start < 0 or (length is not None and length < 0):
            raise ValueError("a read begins at 0 or later and is not negative")
        held = self._find(name)
        end = held.size if length is None else start + length
        if end > held.size or start > held.size:
            raise ObjectDamaged(
                f"The object {shown(name)} has {held.size} bytes, more were expected.",
                permanent=True,
            )
        given = 0
        for chunk in self._read(name, held, start, end):
            if fault is not None and fault.after_bytes is not None:
                left = fault.after_bytes - given
                if left < len(chunk):
                    if left > 0:
                        yield chunk[:left]
                    raise fault.error or StoreError("The store stopped in the middle.")
            given += len(chunk)
            yield chunk

    def manifest_segments(self, name: str) -> list[Segment]:
        self.faults.meet("manifest_segments", check_name(name))
        held = self._find(name)
        if held.pieces is None:
            raise StoreError(f"The object {shown(name)} is not joined of pieces.")
        return [*held.pieces]

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.faults.meet("list", prefix)
        with self._inside.lock:
            self._need_container()
            found = [
                _told(name, held)
                for name, held in self._inside.held.items()
                if name.startswith(prefix)
            ]
        yield from sorted(found, key=lambda one: one.name.encode())

    def folders(self, prefix: str = "") -> Iterator[str]:
        last = ""
        for one in self.list(prefix):
            element, slash, _ = one.name[len(prefix) :].partition("/")
            folder = f"{prefix}{element}/"
            if slash and folder != last:
                last = folder
                yield folder

    def delete(self, name: str) -> bool:
        self.faults.meet("delete", check_name(name))
        with self._inside.lock:
            return self._inside.held.pop(name, None) is not None

    def delete_many(self, names: Iterable[str]) -> int:
        self.faults.meet("delete_many")
        return sum(self.delete(name) for name in names)

    def temp_url(self, name: str, *, filename: str, seconds: int) -> str:
        if seconds < 1:
            raise StoreError("A download link must be valid for a second or more.")
        query = urlencode({"expires": int(time.time()) + seconds, "filename": filename})
        return f"memory://{quote(self.container)}/{quote(check_name(name))}?{query}"

    def close(self) -> None:
        """Nothing is held."""

    def _put(self, operation: str, name: str, data: bytes, md5: str, kind: str) -> StoredObject:
        check_size(check_name(name), len(data), limit=self._limits.object_bytes)
        check_md5(md5)
        self.faults.meet(operation, name)
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
            raise ObjectDamaged(f"What the store received of {shown(name)} is not what was sent.")
        with self._inside.lock:
            self._keep(name, _Held(md5, len(data), kind, data=data))
        return StoredObject(name, len(data), md5)

    def _keep(self, name: str, held: _Held) -> None:
        self._need_container()
        if self.quota is not None:
            stored = sum(len(one.data) for key, one in self._inside.held.items() if key != name)
            if stored + len(held.data) > self.quota:
                raise StoreFull(f"The store has no room left for {shown(name)}.")
        self._inside.held[name] = held

    def _need_container(self) -> None:
        if not self._inside.exists:
            raise ObjectMissing(f"The container {shown(self.container)} is not there.")

    def _find(self, name: str) -> _Held:
        with self._inside.lock:
            held = self._inside.held.get(name)
        if held is None:
            raise ObjectMissing(f"The store has not got the object {shown(name)}.")
        return held

    def _checked_piece(self, of: str, piece: Segment) -> Segment:
        held = self._inside.held.get(piece.name)
        if held is None:
            raise ObjectMissing(f"The piece {shown(piece.name)} of {shown(of)} is not there.")
        if held.size != piece.size:
            raise ObjectDamaged(
                f"The piece {shown(piece.name)} of {shown(of)} has another size in the store.",
                permanent=True,
            )
        if held.etag != piece.etag:
            raise ObjectDamaged(
                f"The piece {shown(piece.name)} of {shown(of)} has another checksum in the store.",
                permanent=True,
            )
        return Segment(piece.name, piece.size, piece.etag, is_manifest=held.pieces is not None)

    def _read(self, name: str, held: _Held, start: int, end: int) -> Iterator[bytes]:
        if held.pieces is None:
            for at in range(start, end, CHUNK):
                yield held.data[at : min(at + CHUNK, end)]
            return
        begin = 0
        for piece in held.pieces:
            first, last = max(start - begin, 0), min(end - begin, piece.size)
            if first < last:
                with self._inside.lock:
                    now = self._inside.held.get(piece.name)
                if now is None:
                    raise ObjectDamaged(
                        f"The piece {shown(piece.name)} of {shown(name)} is missing.",
                        permanent=True,
                    )
                if (now.etag, now.size) != (piece.etag, piece.size):
                    raise ObjectDamaged(
                        f"The piece {shown(piece.name)} of {shown(name)} is not what it was.",
                        permanent=True,
                    )
                yield from self._read(piece.name, now, first, last)
            begin += piece.size


def _told(name: str, held: _Held) -> StoredObject:
    return StoredObject(name, held.size, held.etag, is_manifest=held.pieces is not None)
