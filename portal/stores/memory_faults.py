"""Faults that a memory store can be told to have: for tests of those who use a store.

`faults.add("put", Fault(error=StoreFull("full")), times=1)` makes the next `put` fail. Operations
have the names of the interface's methods; `"*"` means all. A fault may also delay the call, or
cut a body after some bytes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal.domain.errors import StoreError


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong. `after_bytes` lets a `get` give that much before `error` is raised."""

    error: StoreError | None = None
    delay: float = 0.0
    after_bytes: int | None = None


class Faults:
    """The faults that wait; each is used up after its `times`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, str, Fault, int | None]] = []

    def add(
        self, operation: str, fault: Fault, *, name: str = "", times: int | None = None
    ) -> None:
        """Arm a fault for an operation and names that contain `name`; `times` None: for ever."""
        with self._lock:
            self._waiting.append((operation, name, fault, times))

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            self._waiting.clear()

    def meet(self, operation: str, name: str = "") -> Fault | None:
        """Delay or raise as told; a fault that cuts a body is returned to be carried out."""
        fault = self._take(operation, name)
        if fault is None:
            return None
        if fault.delay:
            time.sleep(fault.delay)
        if fault.after_bytes is not None:
            return fault
        if fault.error is not None:
            raise fault.error
        return None

    def _take(self, operation: str, name: str) -> Fault | None:
        with self._lock:
            for index, (wanted, part, fault, times) in enumerate(self._waiting):
                if wanted in {operation, "*"} and part in name:
                    if times is not None and times <= 1:
                        del self._waiting[index]
                    elif times is not None:
                        self._waiting[index] = (wanted, part, fault, times - 1)
                    return fault
        return None
