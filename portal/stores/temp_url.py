"""Signed addresses for downloads (Swift's TempURL), and the container's key that signs them.

What must always hold:
- The key belongs to the container, not to the account: it opens nothing else.
- Slot 1 is never taken from somebody else: if a foreign key stands there, ours goes to slot 2.
  Slot 2 is taken over where both are foreign: that is where an earlier installation of Snapport
  left its key, and a container may be registered anew after its database was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit

from swiftclient.utils import generate_temp_url

from portal.domain.errors import StoreError, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SLOTS = ("x-container-meta-temp-url-key", "x-container-meta-temp-url-key-2")
DIGESTS = ("sha512", "sha256", "sha1")
"""Strongest first. Swift itself no longer allows SHA-1 unless told to."""


def slot_to_set(headers: Mapping[str, str], key: str) -> str | None:
    """The header that must be posted so that `key` signs for the container; None if it does."""
    standing = [headers.get(slot, "") for slot in SLOTS]
    if key in standing:
        return None
    return SLOTS[1] if standing[0] else SLOTS[0]


def signed_url(
    access_url: str,
    container: str,
    name: str,
    *,
    key: str,
    seconds: int,
    filename: str,
    digests: Collection[str],
) -> str:
    """The whole address; the browser saves the object as `filename`."""
    if not key:
        raise StoreError("This store has no key for download links.")
    if seconds < 1:
        raise StoreError("A download link must be valid for a second or more.")
    digest = next((one for one in DIGESTS if one in digests), None)
    if digest is None:
        raise StoreRefused("The store offers no download links that Snapport can sign.")
    parts = urlsplit(access_url)
    # Swift signs the path as it is, not as it is written in a URL.
    path = f"{unquote(parts.path)}/{container}/{name}"
    signed: str = generate_temp_url(path, str(seconds), key, "GET", digest=digest)
    query = signed[len(path) + 1 :]
    saved_as = urlencode({"filename": filename}, quote_via=quote, safe="")
    return f"{parts.scheme}://{parts.netloc}{quote(path)}?{query}&{saved_as}"
