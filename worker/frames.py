"""A part's index of frames, packed: their compressed sizes as LEB128 varints, in order.

A frame of 1 MiB takes at most three bytes here; a terabyte of dense data three megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def pack_frames(sizes: Iterable[int]) -> bytes:
    """Sizes in bytes, each 0 or more."""
    packed = bytearray()
    for size in sizes:
        rest = size
        while rest > 0x7F:
            packed.append(rest & 0x7F | 0x80)
            rest >>= 7
        packed.append(rest)
    return bytes(packed)


def unpack_frames(packed: bytes) -> tuple[int, ...]:
    """The inverse of `pack_frames`."""
    sizes: list[int] = []
    size = shift = 0
    for byte in packed:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            sizes.append(size)
            size = shift = 0
    return tuple(sizes)
