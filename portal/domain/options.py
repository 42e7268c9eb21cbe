"""What was chosen for a snapshot beside its kind.

Kept as canonical JSON beside the snapshot. Readers take what older code wrote: a key that is
missing has its default.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

from portal.domain.index import canonical


@dataclass(frozen=True, slots=True)
class Options:
    """Choices; each means something for some kinds only, and nothing for the others.

    `skip_unused` (raw and exports): what file systems have free is not read, and reads as zeros.
    `gzip` (tar): compressed. `exclude` (tar): patterns of paths that are left out. `fixed` (VHD):
    every sector stands in the file, as Azure wants it.
    """

    skip_unused: bool = True
    gzip: bool = False
    exclude: tuple[str, ...] = ()
    fixed: bool = False

    def as_text(self) -> str:
        """For the database."""
        return canonical(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of `as_text`."""
        known = json.loads(text)
        return cls(
            skip_unused=known.get("skip_unused", True),
            gzip=known.get("gzip", False),
            exclude=tuple(known.get("exclude", ())),
            fixed=known.get("fixed", False),
        )
