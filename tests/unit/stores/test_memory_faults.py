"""The memory store's faults: a feature of the driver, so tested like one."""

from __future__ import annotations

import hashlib
import time

import pytest

from portal.domain.errors import StoreFull, StoreRefused, StoreUnreachable
from portal.stores.memory import MemoryStore
from portal.stores.memory_faults import Fault


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.ensure_container()
    return store


def put(store, name, data=b"0123456789"):
    return store.put(name, data, md5=hashlib.md5(data).hexdigest(), content_type="a/b")


def test_a_fault_is_used_up(store):
    full = StoreFull("There is no room.")
    store.faults.add("put", Fault(full), times=2)
    for _ in range(2):
        with pytest.raises(StoreFull) as caught:
            put(store, "a")
        assert caught.value is full
        assert store.head("a") is None
    put(store, "a")


def test_a_fault_for_some_names_until_cleared(store):
    store.faults.add("put", Fault(StoreRefused("No.")), name=".part/")
    put(store, "README.txt")
    for _ in range(3):
        with pytest.raises(StoreRefused):
            put(store, "web-1/.part/00/11")
    store.faults.clear()
    put(store, "web-1/.part/00/11")


def test_every_operation(store):
    put(store, "a")
    store.faults.add("*", Fault(StoreUnreachable("Gone.")))
    for use in (
        store.ensure_container,
        lambda: put(store, "b"),
        lambda: store.head("a"),
        lambda: list(store.get("a")),
        lambda: list(store.list()),
        lambda: list(store.folders()),
        lambda: store.delete("a"),
        lambda: store.delete_many(["a"]),
        lambda: store.manifest_segments("a"),
    ):
        with pytest.raises(StoreUnreachable):
            use()
    store.faults.clear()
    assert store.head("a") is not None


@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_body_cut(store, after):
    put(store, "a")
    store.faults.add("get", Fault(StoreUnreachable("Cut."), after_bytes=after), times=1)
    got: list[bytes] = []
    with pytest.raises(StoreUnreachable):
        got.extend(store.get("a"))
    assert b"".join(got) == b"0123456789"[:after]
    assert b"".join(store.get("a")) == b"0123456789"


def test_a_delay(store):
    store.faults.add("head", Fault(delay=0.2), times=1)
    started = time.monotonic()
    assert store.head("a") is None
    assert time.monotonic() - started >= 0.2


def test_everybody_at_one_address_sees_the_same():
    one, two = MemoryStore.at("memory://x", "c"), MemoryStore.at("memory://x", "c")
    one.ensure_container()
    put(one, "a")
    assert two.head("a") is not None
    two.faults.add("head", Fault(StoreRefused("No.")))
    with pytest.raises(StoreRefused):
        one.head("a")
    assert MemoryStore.at("memory://x", "other").head("a") is None
