"""What Snapport asks of an object store.

What must always hold, for every driver:
- Nothing counts as stored until the store said so and its checksum and size agreed with ours.
- Every failure is a `portal.domain.errors.StoreError`; its `permanent` alone decides about retries.
  A driver retries what is not permanent by itself, within its own time limits, before it raises.
- No call waits for ever.
- A driver may be used from several threads at once.
- Bodies are buffers; a driver sends them without copying them whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store tells of it.

    `etag` is a bare MD5 in hexadecimal: of the bytes for a plain object; for a manifest the MD5
    over its segments' MD5s (what Swift calls the SLO ETag). `size` counts bytes of a plain GET.
    """

    name: str
    size: int
    etag: str
    is_manifest: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a manifest, in the same container; `etag` and `size` as in `StoredObject`.

    `is_manifest`: the piece is itself a manifest (manifests nest).
    """

    name: str
    size: int
    etag: str
    is_manifest: bool = False


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store told of itself (Swift: /info). `manifest_segments` 0: it joins no files."""

    manifest_segments: int = 1000
    object_bytes: int = 5 * 1024**3
    listing: int = 10_000
    temp_url: bool = True


class Store(ABC):
    """One container of one customer's object store."""

    container: str

    @abstractmethod
    def limits(self) -> StoreLimits:
        """What the store allows; asked once and remembered."""

    @abstractmethod
    def ensure_container(self) -> None:
        """Make the container if it is not there; also proves that the credentials work."""

    @abstractmethod
    def put(self, name: str, body: Buffer, *, md5: str, content_type: str) -> StoredObject:
        """Store one object whole, checked against `md5` by the store (at most 5 GB)."""

    @abstractmethod
    def put_stream(
        self, name: str, body: BinaryIO, *, size: int, md5: str, content_type: str
    ) -> StoredObject:
        """Like `put`, from a seekable file positioned at its start."""

    @abstractmethod
    def put_manifest(
        self, name: str, segments: Sequence[Segment], *, content_type: str
    ) -> StoredObject:
        """Join 1 … `limits().manifest_segments` pieces into one file.

        The store checks that every piece stands with its size and ETag, else `ObjectDamaged`
        (or `ObjectMissing` where a piece is not there), and nothing is stored.
        """

    @abstractmethod
    def head(self, name: str) -> StoredObject | None:
        """The object as it stands now, or None."""

    @abstractmethod
    def get(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `start`, in chunks; raises `ObjectMissing`.

        Ends with exactly the bytes asked for, or raises: never silently short. Nothing is asked
        of the store before the first chunk is wanted.
        """

    @abstractmethod
    def manifest_segments(self, name: str) -> list[Segment]:
        """The pieces of a manifest, as it stands (Swift: multipart-manifest=get)."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """The names that begin with `prefix`, in order, page by page.

        A listing is a hint: it may miss what was just stored and show what was just deleted, and
        in an old store the `etag` of a manifest is that of its list, and `is_manifest` is not set.
        """

    @abstractmethod
    def folders(self, prefix: str = "") -> Iterator[str]:
        """The distinct next path elements below `prefix` (delimiter `/`), each ending in `/`."""

    @abstractmethod
    def delete(self, name: str) -> bool:
        """Delete this one object, never the pieces of a manifest; False if it was not there.

        False, too, where the answer to a first attempt was lost and the second found it gone.
        """

    @abstractmethod
    def delete_many(self, names: Iterable[str]) -> int:
        """Delete these objects (missing ones are fine); how many were there."""

    @abstractmethod
    def temp_url(self, name: str, *, filename: str, seconds: int) -> str:
        """An address from which anybody may download this object until it expires."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""
