"""Houses for the worker's tests, on real databases, Redis and Swift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.worker.house import House, make_house

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import SwiftEndpoint


@pytest.fixture
def house(
    database_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[House]:
    """A house on SQLite, then on PostgreSQL. Leases of a second, so that tests need not wait."""
    made = make_house(database_url, redis_url, swift_endpoint, data_folder, lease_seconds="1")
    yield made
    made.runtime.close()


@pytest.fixture
def sqlite_house(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[House]:
    """A house on SQLite, for what has nothing to do with the database."""
    made = make_house(sqlite_url, redis_url, swift_endpoint, data_folder, lease_seconds="2")
    yield made
    made.runtime.close()


@pytest.fixture
def house_named(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[Callable[[str], House]]:
    """Makes a house whose server has this name."""
    made: list[House] = []

    def make(name: str) -> House:
        made.append(make_house(sqlite_url, redis_url, swift_endpoint, data_folder, name=name))
        return made[-1]

    yield make
    for one in made:
        one.runtime.close()
