"""Inputs that take long to make, kept in the checkout's `.cache/` (never committed).

What must always hold:
- A file under its final name is whole: it is made under another name and renamed.
- Two processes never make the same file at once: the second waits and finds it.
- A file's name carries the key of its recipe; a changed recipe makes a new file and drops the old.
"""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = Path(__file__).resolve().parents[2] / ".cache"


def recipe_key(*ingredients: str | bytes) -> str:
    """A short name for everything that decides what the file holds."""
    digest = hashlib.sha256()
    for ingredient in ingredients:
        data = ingredient.encode() if isinstance(ingredient, str) else ingredient
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


def made_once(folder: Path, name: str, suffix: str, key: str, make: Callable[[Path], None]) -> Path:
    """`folder/name-key.suffix`, made by `make(path)` if it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{name}-{key}{suffix}"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.exists():
            return final
        for old in folder.glob(f"{name}-*{suffix}*"):
            old.unlink()
        making = final.with_name(final.name + ".making")
        try:
            make(making)
            making.replace(final)
        finally:
            making.unlink(missing_ok=True)
    return final
