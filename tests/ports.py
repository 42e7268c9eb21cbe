"""Folders and ports of a test process's own, however many there are.

A port is chosen before its server listens on it, and kept while that is stopped: what must always
hold is that no other process of the same run takes it meanwhile. So each takes from its own share.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from portal.embedded.folder import FIRST_PORT, LAST_PORT, first_port, port_is_free

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOM = 50
"""Ports that one folder may need, and more."""


def _share(first: int, last: int) -> range:
    """This process's ports of these."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    width = (last - first) // count
    return range(first + number * width, first + (number + 1) * width)


def new_folder(prefix: str, parent: Path | None = None) -> Path:
    """A fresh folder, whose embedded servers take ports of this process's share."""
    share = _share(FIRST_PORT, LAST_PORT)[:-_ROOM]
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if first_port(folder) in share:
            return folder
        folder.rmdir()


def _ports() -> Iterator[int]:
    # Below those of folders, from a place that no other run of the tests begins at.
    share = _share(10_000, FIRST_PORT)
    begin = os.getpid() % len(share)
    return itertools.cycle((*share[begin:], *share[:begin]))


_candidates = _ports()


def new_port() -> int:
    """A port on which nothing listens now, and that nothing else here will be given."""
    return next(port for port in _candidates if port_is_free("127.0.0.1", port))
