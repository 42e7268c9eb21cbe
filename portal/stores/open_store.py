"""Which driver stands behind a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.errors import InvalidInput
from portal.stores.memory import MemoryStore
from portal.stores.swift import SwiftStore

if TYPE_CHECKING:
    from portal.stores.config import StoreConfig
    from portal.stores.interface import Store


def open_store(config: StoreConfig) -> Store:
    """The store; nothing is asked of it yet. The caller closes it."""
    match config.driver:
        case "swift":
            return SwiftStore(config)
        case "memory":
            return MemoryStore.at(config.auth_url, config.container)
        case _:
            raise InvalidInput(f"There is no store driver “{config.driver}”.", field="driver")
