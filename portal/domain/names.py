"""Names of things in the store and on the customer's disk.

What must always hold:
- `folder_of` is injective: two server names never share a folder.
- No name made here has an empty, `.` or `..` path element, a control character, or more than
  Swift's 1,024 bytes.
- A file name fits a file system (255 bytes) with room for a suffix.

Layout (all in one container):
`FOLDER/.part/<2 hex>/<sha256>`, `FOLDER/<time>/<file>`.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote

from portal.domain.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

CONTAINER = "miniserver-snapshots"
README = "README.txt"
INDEX = "snapshot.json"
PARTS = ".part"
NAME_BYTES = 255
_STEM_BYTES = 180
_PLAIN_LETTERS = 60


def check_name(name: str, *, what: str, field: str = "name") -> str:
    """The name as it is kept: NFC, trimmed; `InvalidInput` if it is empty, too long or unprintable.

    Spaces, slashes, quotes and every script are welcome; control characters and lone surrogates
    are not, since nobody could see or type them.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not kept:
        raise InvalidInput(f"Give the {what} a name.", field=field)
    if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in kept):
        raise InvalidInput(
            f"The {what}'s name holds a character that cannot be shown.", field=field
        )
    if len(kept.encode()) > NAME_BYTES:
        raise InvalidInput(f"The {what}'s name is longer than {NAME_BYTES} bytes.", field=field)
    return kept


def folder_of(server_name: str) -> str:
    """The server's folder in the store: its name, with what would break a path percent-encoded."""
    encoded = "".join(
        quote(c, safe="") if c in "/%\\" or unicodedata.category(c) in {"Cc", "Cf"} else c
        for c in server_name
    )
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded


def file_stem(server_name: str) -> str:
    """What the snapshot's files are called: the server's name, fit for anybody's file system."""
    stem = "".join(
        "_" if c in '/\\:*?"<>|' or unicodedata.category(c) in {"Cc", "Cf"} else c
        for c in server_name
    ).strip(" .")
    stem = stem.encode()[:_STEM_BYTES].decode(errors="ignore").strip(" .")
    return stem or "server"


def plain_stem(server_name: str) -> str:
    """The same for files inside an archive, where importers know only ASCII: at most 60 letters."""
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in server_name)
    return stem[:_PLAIN_LETTERS].strip("._") or "server"


def time_folder(at: datetime) -> str:
    """`2026-11-22T201746Z`: UTC to the second; no colons, so that it is a folder name anywhere."""
    return at.strftime("%Y-%m-%dT%H%M%SZ")


def part_name(folder: str, sha256: str) -> str:
    """Where a part of this server stands."""
    return f"{folder}/{PARTS}/{sha256[:2]}/{sha256}"


def image_file(server_name: str, suffix: str, *, disk: int, disks: int) -> str:
    """`NAME.raw.gz`, or `NAME-disk2.raw.gz` where the server has several disks (counted from 1)."""
    stem = file_stem(server_name)
    return f"{stem}-disk{disk}{suffix}" if disks > 1 else f"{stem}{suffix}"


def manifest_piece(folder: str, file: str, level: int, number: int) -> str:
    """A manifest inside a manifest, for files of more parts than one manifest may list."""
    return f"{folder}/.manifest/{file}/{level}-{number:06d}"
