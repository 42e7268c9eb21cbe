"""snapshot.json, version 1: what a snapshot holds, for programs.

What must always hold:
- Canonical: the same snapshot gives the same bytes (sorted keys, no spaces, UTF-8, one newline at
  the end). A change of meaning raises `VERSION`; version 1 is never edited.
- Written part by part: a disk of a million parts needs no more memory than a small one.
- `parts` stand in file order. `frames` are the compressed sizes of the part's frames of 1 MiB, one
  behind the other, so that any frame can be read alone. Before the first frame of the first part
  stands the gzip header (10 bytes), behind the last frame of the last part its trailer (8 bytes). A
  part of zeros has `zero` and no `frames`: there is nothing to read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION = 1


@dataclass(frozen=True, slots=True)
class IndexPart:
    """One part of a file. `offset` and `length` are of the source, in bytes."""

    sha256: str
    md5: str
    size: int
    offset: int
    length: int
    frames: tuple[int, ...] = ()
    zero: bool = False


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of the snapshot; sizes in bytes, `source_size` the disk's."""

    name: str
    size: int
    md5: str
    sha256: str
    disk: int
    source_size: int


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_index(
    header: dict[str, Any], files: Iterable[tuple[IndexFile, Iterable[IndexPart]]]
) -> Iterator[bytes]:
    """The document in pieces. `header`: server, kind, taken and the like; its keys are its own."""
    yield b'{"files":['
    for number, (file, parts) in enumerate(files):
        facts = {
            "disk": file.disk,
            "md5": file.md5,
            "name": file.name,
            "sha256": file.sha256,
            "size": file.size,
            "source_size": file.source_size,
        }
        # `parts` sorts between `name` and `sha256`: written by hand to stay canonical.
        before = canonical({k: facts[k] for k in ("disk", "md5", "name")})[:-1]
        after = canonical({k: facts[k] for k in ("sha256", "size", "source_size")})[1:]
        yield ("," if number else "").encode() + before.encode() + b',"parts":['
        for position, part in enumerate(parts):
            yield ("," if position else "").encode() + canonical(_part(part)).encode()
        yield b"]," + after.encode()
    rest = canonical({**header, "version": VERSION})
    keys = sorted([*header, "version"])
    if keys and keys[0] < "files":
        raise ValueError("a header key would sort before 'files'")
    yield b"]," + rest[1:].encode() + b"\n"


def _part(part: IndexPart) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "length": part.length,
        "md5": part.md5,
        "offset": part.offset,
        "sha256": part.sha256,
        "size": part.size,
    }
    if part.zero:
        entry["zero"] = True
    elif part.frames:
        entry["frames"] = list(part.frames)
    return entry
