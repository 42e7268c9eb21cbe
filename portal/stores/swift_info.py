"""What a Swift service tells of itself at `/info`.

Every number in it is foreign: taken only where it makes sense, else Swift's default stands.
A service that hides `/info` is taken for one with the defaults.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from portal.stores.interface import StoreLimits

if TYPE_CHECKING:
    from portal.stores.swift_lane import Answer


@dataclass(frozen=True, slots=True)
class SwiftInfo:
    """The limits, and what only this driver asks for."""

    limits: StoreLimits
    bulk_deletes: int = 0
    """Names in one bulk delete; 0 where the service has none."""
    digests: tuple[str, ...] = ("sha256",)


def info_of(answer: Answer) -> SwiftInfo:
    """Read the answer of `/info`."""
    try:
        told = json.loads(answer.body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("swift"), dict):
        return SwiftInfo(StoreLimits())
    usual = StoreLimits()
    digests = _section(told, "tempurl").get("allowed_digests")
    return SwiftInfo(
        StoreLimits(
            manifest_segments=_number(told, "slo", "max_manifest_segments", usual.manifest_segments)
            if "slo" in told
            else 0,
            object_bytes=_number(told, "swift", "max_file_size", usual.object_bytes),
            listing=_number(told, "swift", "container_listing_limit", usual.listing),
            temp_url="tempurl" in told,
        ),
        bulk_deletes=_number(told, "bulk_delete", "max_deletes_per_request", 0),
        digests=tuple(one for one in digests if isinstance(one, str))
        if isinstance(digests, list)
        else ("sha256",)
        if "tempurl" in told
        else (),
    )


def _section(told: dict[str, Any], name: str) -> dict[str, Any]:
    section = told.get(name)
    return section if isinstance(section, dict) else {}


def _number(told: dict[str, Any], section: str, name: str, default: int) -> int:
    value = _section(told, section).get(name)
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
    )
