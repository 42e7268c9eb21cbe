"""The kinds of snapshot: what each is, for the form, the commands and the README."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a snapshot is made of. Values are stored; never rename one."""

    RAW = "raw"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What people are told of a kind; `suffix` is what its image file's name ends in."""

    label: str
    purpose: str
    suffix: str
    content_type: str
    reimageable: bool


FACTS: dict[Kind, KindFacts] = {
    Kind.RAW: KindFacts(
        label="Raw image",
        purpose="The whole disk, sector by sector, as one gzip file. Works for every system.",
        suffix=".raw.gz",
        content_type="application/gzip",
        reimageable=True,
    ),
}
