"""An ext4 file system with files in it, made without mounting anything."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def ext4_disk(path: Path, size: int, files: Path, *, options: tuple[str, ...] = ()) -> Path:
    """An ext4 over the whole of a sparse file of `size` bytes, holding the tree below `files`.

    `options` go to mkfs.ext4. The file system is clean and was never mounted.
    """
    with path.open("wb") as disk:
        disk.truncate(size)
    subprocess.run(
        ["/sbin/mkfs.ext4", "-q", "-F", "-d", files, *options, path],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path
