"""A customer reaches nothing of another's, by any loader, and cannot tell it from what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.domain.errors import NotAllowed, NotFound, SnapportError
from portal.records.user import Role
from portal.services import (
    accounts,
    authority,
    hosts,
    overview,
    servers,
    snapshots,
    stores,
    users,
)
from portal.services.authority import Actor
from portal.stores.config import StoreConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.work import Runtime, Work
    from tests.unit.services.conftest import Customer

NOBODYS = 999_999


def _snapshot_id(runtime: Runtime, of: Customer) -> int:
    with runtime.work() as work:
        taken = snapshots.take(work, of.actor, of.server, of.store, "raw")
        work.commit()
        return taken.id


def _sentence(ask: Callable[[], object]) -> str:
    with pytest.raises(NotFound) as refused:
        ask()
    return refused.value.message


def test_what_is_anothers_is_told_as_what_is_not(
    runtime: Runtime, ours: Customer, theirs: Customer
) -> None:
    snapshot_id = _snapshot_id(runtime, theirs)
    with runtime.work() as work:
        for load, number in (
            (authority.load_account, theirs.account.id),
            (authority.load_server, theirs.server.id),
            (authority.load_store, theirs.store.id),
            (authority.load_snapshot, snapshot_id),
        ):
            anothers = _sentence(lambda: load(work, ours.actor, number))  # noqa: B023
            nobodys = _sentence(lambda: load(work, ours.actor, NOBODYS))  # noqa: B023
            assert anothers == nobodys
            assert load(work, theirs.actor, number).id == number
            assert load(work, Actor.support(), number).id == number


def test_finding_by_name_or_number_stays_within_the_account(
    runtime: Runtime, ours: Customer, theirs: Customer
) -> None:
    with runtime.work() as work:
        for find, number in (
            (servers.find, theirs.server.id),
            (stores.find, theirs.store.id),
            (accounts.find, theirs.account.id),
        ):
            assert str(number) in _sentence(lambda: find(work, ours.actor, str(number)))  # noqa: B023
        assert servers.find(work, ours.actor, "web-1").id == ours.server.id
        assert stores.find(work, ours.actor, "main").id == ours.store.id
        assert _sentence(lambda: accounts.find(work, ours.actor, "theirs"))


def test_lists_hold_only_ones_own(runtime: Runtime, ours: Customer, theirs: Customer) -> None:
    mine, other = _snapshot_id(runtime, ours), _snapshot_id(runtime, theirs)
    with runtime.work() as work:
        assert [s.id for s in servers.list_servers(work, ours.actor)] == [ours.server.id]
        assert [s.id for s in stores.list_stores(work, ours.actor)] == [ours.store.id]
        assert [a.id for a in accounts.list_accounts(work, ours.actor)] == [ours.account.id]
        assert stores.list_for(work, ours.actor, theirs.account.id) == []
        found = snapshots.list_snapshots(work, ours.actor)
        assert [line.snapshot.id for line in found] == [mine]
        assert snapshots.list_snapshots(work, ours.actor, account=theirs.account) == []
        assert snapshots.list_snapshots(work, ours.actor, server=theirs.server) == []
        assert snapshots.history(work, ours.actor, theirs.server) == []
        assert snapshots.count(work, ours.actor, theirs.server) == 0
        page = overview.servers(work, ours.actor)
        assert [line.server.id for line in page.lines] == [ours.server.id]
        assert overview.servers(work, ours.actor, text="theirs").total == 0
        everything = snapshots.list_snapshots(work, Actor.support())
        assert [line.snapshot.id for line in everything] == [other, mine]


def test_a_snapshot_never_goes_into_anothers_store(
    runtime: Runtime, ours: Customer, theirs: Customer
) -> None:
    with runtime.work() as work:
        for actor in (ours.actor, Actor.support()):
            with pytest.raises(NotFound):
                snapshots.take(work, actor, ours.server, theirs.store, "raw")


def _forbidden(work: Work, ours: Customer) -> dict[str, Callable[[], object]]:
    actor, account = ours.actor, ours.account
    config = StoreConfig("memory", "memory:other", user="other", key="secret")
    return {
        "add an account": lambda: accounts.add(work, actor, "mine"),
        "add a server": lambda: servers.add(
            work,
            actor,
            account=account,
            name="new",
            operating_system="",
            host="kvm-1",
            disks=[("file", "/etc/shadow")],
        ),
        "add a store": lambda: stores.add(work, actor, account=account, name="n", config=config),
        "change a store's key": lambda: stores.set_key(work, actor, ours.store, "k"),
        "reseal": lambda: stores.reseal(work, actor),
        "add a user": lambda: users.add(
            work,
            actor,
            email="a@b.example",
            password="correct horse",
            role=Role.SUPPORT,
            account=None,
        ),
        "list users": lambda: users.list_users(work, actor),
        "find a user": lambda: users.find(work, actor, ours.user.email),
        "list hosts": lambda: hosts.list_hosts(work, actor),
    }


def test_what_is_supports_is_not_a_customers(runtime: Runtime, ours: Customer) -> None:
    with runtime.work() as work:
        for what, act in _forbidden(work, ours).items():
            with pytest.raises(NotAllowed) as refused:
                act()
            assert "support" in refused.value.message, what


def test_an_actor_is_support_only_by_the_users_role(ours: Customer) -> None:
    assert not Actor.of(ours.user).is_support
    assert Actor.of(ours.user).account_id == ours.account.id
    assert Actor.support().is_support


def test_the_same_name_in_two_accounts_is_told_to_support(
    runtime: Runtime, ours: Customer, theirs: Customer
) -> None:
    with runtime.work() as work:
        with pytest.raises(SnapportError, match=str(theirs.server.id)):
            servers.find(work, Actor.support(), "web-1")
        found = servers.find(work, Actor.support(), str(theirs.server.id))
        assert found.id == theirs.server.id
        store = stores.find(work, Actor.support(), "main", account_id=ours.account.id)
        assert store.id == ours.store.id
