"""What every store takes and refuses, whichever driver stands behind it.

What must always hold:
- A name is 1 … 1,024 bytes of UTF-8 without NUL and without `.` or `..` as a path element: those
  are resolved away by URL libraries, proxies and browsers, and would then name something else.
- A manifest joins at least one piece: Swift takes an empty list for an empty object.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from portal.domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.stores.interface import Segment

NAME_BYTES = 1024
"""Swift's max_object_name_length."""

_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


def check_name(name: str) -> str:
    """The name itself; `StoreError` if it cannot stand in a store."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= NAME_BYTES or "\0" in name:
        raise StoreError(
            f"The name {shown(name)} cannot be used in a store: "
            f"it must have 1 to {NAME_BYTES} bytes of proper text."
        )
    if {".", ".."} & set(name.split("/")):
        raise StoreError(f"The name {shown(name)} cannot be used in a store: it has a dot element.")
    return name


def check_md5(md5: str) -> str:
    """The hash itself; `StoreError` if it is not 32 lower-case hexadecimal digits."""
    if not _MD5.fullmatch(md5):
        raise StoreError("An object's MD5 must be given as 32 hexadecimal digits.")
    return md5


def check_manifest(name: str, segments: Sequence[Segment], *, limit: int) -> None:
    """Refuse a manifest that no store would take, before anything is sent."""
    if not segments:
        raise StoreError(f"The file {shown(name)} cannot be joined of no pieces.")
    if len(segments) > limit:
        raise StoreError(
            f"The file {shown(name)} has {len(segments)} pieces, the store joins at most {limit}."
        )
    for number, segment in enumerate(segments, start=1):
        check_name(segment.name)
        check_md5(segment.etag)
        if segment.size < 1 and number < len(segments):
            raise StoreError(f"The piece {shown(segment.name)} of {shown(name)} is empty.")


def manifest_etag(segments: Sequence[Segment]) -> str:
    """The MD5 over the pieces' MD5s: what Swift calls the ETag of a static large object."""
    joined = "".join(segment.etag for segment in segments)
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()


def shown(name: str) -> str:
    """A name in quotes for a sentence: at most 200 characters, nothing unprintable."""
    text = "".join(c if c.isprintable() else "�" for c in name)
    return f"“{text if len(text) <= 200 else text[:199] + '…'}”"
