"""A Swift without room: quotas, and a disk that is full."""

from __future__ import annotations

import hashlib

import pytest

from portal.domain.errors import StoreFull, StoreUnreachable
from portal.stores.memory import MemoryStore
from portal.stores.swift import SwiftStore


def put(store, name, size):
    data = b"x" * size
    return store.put(name, data, md5=hashlib.md5(data).hexdigest(), content_type="a/b")


def check_full_store(store) -> None:
    """The store has room for 1,000 bytes."""
    put(store, "first", 900)
    with pytest.raises(StoreFull, match="no room left") as caught:
        put(store, "second", 1100)
    assert caught.value.permanent
    assert store.head("second") is None
    assert b"".join(store.get("first")) == b"x" * 900


def test_a_container_quota(swift, config_of):
    store = SwiftStore(config_of(swift))
    store.ensure_container()
    path = f"/{store.container.replace(' ', '%20').replace('é', '%C3%A9')[:-1]}%25"
    store._session.ask("POST", path, headers={"X-Container-Meta-Quota-Bytes": "1000"}, what="it")
    check_full_store(store)
    store.close()


def test_a_memory_quota():
    store = MemoryStore(quota=1000)
    store.ensure_container()
    check_full_store(store)
    put(store, "first", 1000)


def test_a_full_disk_says_so(own_swift, config_of):
    running = own_swift()
    store = SwiftStore(config_of(running.server, retry_seconds=1.0))
    store.ensure_container()
    put(store, "before", 100)
    running.start_again(fallocate_reserve="100%")
    # Swift's proxy says 503 for a full disk, as for any trouble.
    with pytest.raises(StoreUnreachable, match="full") as caught:
        put(store, "a", 100)
    assert not caught.value.permanent
    assert b"".join(store.get("before")) == b"x" * 100
    running.start_again(fallocate_reserve="1%")
    put(store, "a", 100)
    store.close()
