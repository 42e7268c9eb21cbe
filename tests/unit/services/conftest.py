"""Two customers with a server, a store and a person each, on both databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from portal.records.user import Role
from portal.services import accounts, servers, stores, users
from portal.services.authority import Actor
from portal.settings import Settings
from portal.stores.config import StoreConfig
from portal.work import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from portal.records import Account, Server, StoreRecord, User

SUPPORT = Actor.support()


@dataclass(frozen=True)
class Customer:
    """One customer's things, as records that were committed."""

    account: Account
    user: User
    server: Server
    store: StoreRecord
    actor: Actor


@pytest.fixture
def runtime(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    """A runtime on a migrated database and an empty Redis."""
    settings = Settings(data=tmp_path, database_url=database_url, redis_url=redis_url)  # type: ignore[arg-type]
    opened = Runtime.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def customer(runtime: Runtime, tmp_path: Path) -> Callable[[str], Customer]:
    """Makes a customer of this name, with everything."""

    def make(name: str) -> Customer:
        with runtime.work() as work:
            account = accounts.add(work, SUPPORT, name)
            user = users.add(
                work,
                SUPPORT,
                email=f"someone@{name}.example",
                password="correct horse",
                role=Role.CUSTOMER,
                account=account,
            )
            server = servers.add(
                work,
                SUPPORT,
                account=account,
                name="web-1",
                operating_system="Debian 12",
                host="kvm-1",
                disks=[("file", "/disks/web-1.raw")],
            )
            store = stores.add(
                work,
                SUPPORT,
                account=account,
                name="main",
                config=StoreConfig("memory", f"memory:{tmp_path}/{name}", user=name, key="secret"),
            )
            work.commit()
            return Customer(account, user, server, store, Actor.of(user))

    return make


@pytest.fixture
def ours(customer: Callable[[str], Customer]) -> Customer:
    """The customer who asks."""
    return customer("ours")


@pytest.fixture
def theirs(customer: Callable[[str], Customer]) -> Customer:
    """Another customer."""
    return customer("theirs")
