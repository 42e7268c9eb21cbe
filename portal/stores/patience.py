"""How long one call tries again.

What must always hold:
- `permanent` alone decides whether to try again, and no new attempt begins later than `seconds`
  after the first failure. From there, not from the start: a large upload over a slow line that
  breaks once would have no second attempt.
- Data that arrived damaged is sent again at most `DAMAGED` times: a wrong checksum that was given
  to us stays wrong.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from portal.domain.errors import ObjectDamaged
from portal.stores.swift_errors import Throttled

if TYPE_CHECKING:
    from portal.domain.errors import StoreError

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
DAMAGED = 2


class Patience:
    """The attempts at one call: `pause_or_raise` after each failure."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin anew, since there was progress."""
        self._until: float | None = None
        self._pause = FIRST_PAUSE
        self._damaged = 0

    def pause_or_raise(self, error: StoreError) -> None:
        """Sleep before the next attempt, or raise `error` if there should be none."""
        if error.permanent:
            raise error
        if isinstance(error, ObjectDamaged):
            self._damaged += 1
            if self._damaged > DAMAGED:
                raise error
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        # Many parts fail together when a store stumbles: jitter keeps them from returning together.
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311
        if isinstance(error, Throttled):
            pause = max(pause, error.seconds)
        if time.monotonic() + pause >= self._until:
            raise error
        time.sleep(pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
