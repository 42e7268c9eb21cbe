"""The drivers under one contract: memory, and Swift against the real servers.

Swift stands there twice: with its own authentication, and behind a real Keystone.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

import pytest

from portal.stores.config import StoreConfig
from portal.stores.interface import Segment, Store, StoredObject
from portal.stores.memory import MemoryStore
from portal.stores.swift import SwiftStore
from tests.contract.keystone import Customer, Keystone, running_keystone
from tests.contract.keystone_service import REGION
from tests.ports import new_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from portal.embedded.swift import SwiftServer
    from tests.conftest import RunningSwift

PIECE = b"piece of a file " * 64
_numbers = itertools.count()


@pytest.fixture(scope="session")
def swift(_swift: RunningSwift) -> SwiftServer:
    """The Swift that all tests share."""
    return _swift.server


@pytest.fixture(scope="session")
def keystone(session_folder: Path) -> Iterator[Keystone]:
    """A real Keystone, with a Swift of its own behind it."""
    with running_keystone(new_folder("keystone-", session_folder)) as running:
        yield running


@pytest.fixture(scope="session")
def keystone_customer(keystone: Keystone) -> Customer:
    """A customer of that Keystone."""
    return keystone.customer()


def config_for(server: SwiftServer, *, port: int | None = None, **changes) -> StoreConfig:
    """A configuration for a container of its own; `port` in place of the proxy's."""
    told = server.endpoint
    address = told["swift_auth_url"]
    if port is not None:
        address = f"http://127.0.0.1:{port}/auth/v1.0"
    settings = {
        "driver": "swift",
        "auth_url": address,
        "user": told["swift_user"],
        "key": told["swift_key"],
        "container": f"contract {next(_numbers)} é%",
        "connect_timeout": 5.0,
        "read_timeout": 20.0,
        "retry_seconds": 10.0,
        "temp_url_key": "k" * 32,
        **changes,
    }
    return StoreConfig(**settings)


@pytest.fixture(scope="session")
def config_of() -> Callable[..., StoreConfig]:
    """See `config_for`."""
    return config_for


def keystone_config_for(keystone: Keystone, customer: Customer, **changes) -> StoreConfig:
    """A configuration for a container of its own in the customer's project."""
    settings = {
        "driver": "swift",
        "auth_url": keystone.address,
        "auth_version": "3",
        "user": customer.user,
        "key": customer.password,
        "project": customer.project,
        "region": REGION,
        "container": f"contract {next(_numbers)} é%",
        "connect_timeout": 5.0,
        "read_timeout": 20.0,
        "retry_seconds": 10.0,
        "temp_url_key": "k" * 32,
        **changes,
    }
    return StoreConfig(**settings)


@pytest.fixture(scope="session")
def keystone_config_of() -> Callable[..., StoreConfig]:
    """See `keystone_config_for`."""
    return keystone_config_for


@pytest.fixture(params=["memory", "swift", "keystone"])
def driver(request) -> str:
    """Which driver a test runs with."""
    return request.param


@pytest.fixture
def make_store(driver, request) -> Iterator[Callable[[], Store]]:
    """Open the same empty container again and again; each store is closed in the end."""
    opened: list[Store] = []
    container = f"contract {next(_numbers)} é%"
    config = None
    if driver == "swift":
        config = config_for(request.getfixturevalue("swift"), container=container)
    elif driver == "keystone":
        config = keystone_config_for(
            request.getfixturevalue("keystone"),
            request.getfixturevalue("keystone_customer"),
            container=container,
        )

    def make() -> Store:
        if config is None:
            store: Store = MemoryStore.at("memory://contract", container)
        else:
            store = SwiftStore(config, page=7)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store) -> Store:
    """An empty container."""
    made = make_store()
    made.ensure_container()
    return made


def md5(data: bytes) -> str:
    """As the interface wants it."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def put(store) -> Callable[..., StoredObject]:
    """Store bytes under a name."""

    def put(name: str, data: bytes = PIECE) -> StoredObject:
        return store.put(name, data, md5=md5(data), content_type="application/octet-stream")

    return put


@pytest.fixture
def put_piece(put) -> Callable[..., Segment]:
    """Store bytes under a name, as a piece for a manifest."""

    def piece(name: str, data: bytes = PIECE) -> Segment:
        stored = put(name, data)
        return Segment(stored.name, stored.size, stored.etag)

    return piece
