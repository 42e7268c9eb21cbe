"""What may be left out of a tar snapshot: patterns of paths.

A pattern is absolute, as the server sees it. `*`, `?` and `[…]` are the shell's, and `*` also takes
`/`. A folder that is named stays, empty: its content is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

SUGGESTED = (
    "/var/cache/apt",
    "/var/cache/dnf",
    "/var/cache/yum",
    "/tmp",  # noqa: S108  # the server's
    "/var/tmp",  # noqa: S108
    "/swapfile",
    "/swap.img",
    "/.snapshots",  # of btrfs, by snapper: whole systems
)
"""What systems make anew by themselves, or keep twice; the form begins with these."""
MOST = 100
LONGEST = 1000


def check(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns, each once, without empty lines. `InvalidInput` says what is wrong with one."""
    kept: list[str] = []
    for pattern in (raw.strip() for raw in patterns):
        if not pattern or pattern in kept:
            continue
        if not pattern.startswith("/"):
            raise InvalidInput(f"“{pattern[:80]}” does not begin with a slash.", field="exclude")
        if any(not c.isprintable() for c in pattern):
            raise InvalidInput(
                "A path to leave out holds a character that cannot be shown.", field="exclude"
            )
        if ".." in pattern.split("/"):
            raise InvalidInput(f"“{pattern[:80]}” holds “..”.", field="exclude")
        if pattern.strip("/*") == "":
            raise InvalidInput("Everything would be left out.", field="exclude")
        if len(pattern) > LONGEST:
            raise InvalidInput(
                f"A path to leave out is longer than {LONGEST} characters.", field="exclude"
            )
        kept.append(pattern)
    if len(kept) > MOST:
        raise InvalidInput(f"There are more than {MOST} paths to leave out.", field="exclude")
    return tuple(kept)
