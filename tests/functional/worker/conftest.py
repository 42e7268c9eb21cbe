"""Houses for the worker's tests, on real databases, Redis and Swift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.disks import linux
from tests.functional.worker.house import MIB, House, make_house

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
def windows_house(
    sqlite_url: str, redis_url: str, swift_endpoint: SwiftEndpoint, data_folder: Path
) -> Iterator[House]:
    """A house whose server runs Windows: what ntfsclone is for."""
    made = make_house(
        sqlite_url,
        redis_url,
        swift_endpoint,
        data_folder,
        operating_system="Windows Server 2022",
        lease_seconds="2",
    )
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


@pytest.fixture
def unpacked(tmp_path: Path) -> Iterator[Path]:
    """A fresh ext4 to unpack into."""
    disk = tmp_path / "unpacked.raw"
    with disk.open("wb") as file:
        file.truncate(400 * MIB)
    with linux.loop(disk) as device:
        linux.make_file_system("ext4", device)
        with linux.mounted(device, tmp_path / "unpacked") as at:
            yield at
