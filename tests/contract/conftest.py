"""The drivers under one contract: memory, and Swift against the real servers."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

import pytest

from portal.embedded.child import running
from portal.embedded.folder import DataFolder
from portal.embedded.swift import SwiftServer
from portal.stores.config import StoreConfig
from portal.stores.interface import Segment, Store, StoredObject
from portal.stores.memory import MemoryStore
from portal.stores.swift import SwiftStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portal.embedded.swift_config import SwiftOptions

PIECE = b"piece of a file " * 64
_numbers = itertools.count()


@pytest.fixture(scope="session")
def start_swift(tmp_path_factory) -> Iterator[Callable[..., SwiftServer]]:
    """Start a Swift of one's own; it runs until the session ends."""
    from contextlib import ExitStack

    with ExitStack() as started:

        def start(options: SwiftOptions | None = None) -> SwiftServer:
            folder = DataFolder(tmp_path_factory.mktemp("swift"))
            folder.make()
            server = SwiftServer(folder, options)
            started.enter_context(running(server.program()))
            return server

        yield start


@pytest.fixture(scope="session")
def swift(start_swift) -> SwiftServer:
    """The Swift that most tests share."""
    return start_swift()


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


@pytest.fixture(params=["memory", "swift"])
def driver(request) -> str:
    """Which driver a test runs with."""
    return request.param


@pytest.fixture
def make_store(driver, request) -> Iterator[Callable[[], Store]]:
    """Open the same empty container again and again; each store is closed in the end."""
    opened: list[Store] = []
    container = f"contract {next(_numbers)} é%"
    config = (
        None
        if driver == "memory"
        else config_for(request.getfixturevalue(driver), container=container)
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
