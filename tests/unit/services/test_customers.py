"""Accounts, users, servers and stores: what is kept, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from argon2 import Type
from cryptography.fernet import Fernet

from portal.domain.errors import Conflict, InvalidInput, NotFound
from portal.records import Host, StoreRecord
from portal.records.user import Role
from portal.services import accounts, servers, stores, users
from portal.services.authority import Actor
from portal.settings import Settings
from portal.stores.config import StoreConfig
from portal.vault import Vault, VaultError
from portal.work import Runtime, Work

if TYPE_CHECKING:
    from tests.unit.services.conftest import Customer

SUPPORT = Actor.support()
IN_PRODUCTION = users._hasher
"""Before the tests' own, which is cheap, stands in its place."""
HOSTILE = ["a/b", 'say "hi"', "it's", "почта", "サーバー", "<script>", "..", "x" * 255, "é" * 127]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """These rules are Python's: one database shows them."""
    return sqlite_url


@pytest.mark.parametrize("name", HOSTILE)
def test_names_come_back_as_they_were_given(runtime: Runtime, name: str) -> None:
    with runtime.work() as work:
        account = accounts.add(work, SUPPORT, name)
        server = _server(work, accounts.find(work, SUPPORT, name), name)
        work.commit()
    with runtime.work() as work:
        assert accounts.find(work, SUPPORT, name).id == account.id
        assert servers.find(work, SUPPORT, name).name == name
        assert servers.find(work, SUPPORT, name).folder == server.folder


def _server(work: Work, account: object, name: str, **other: object) -> object:
    given = {
        "operating_system": "",
        "host": "kvm-1",
        "disks": [("file", "/disks/one.raw")],
        **other,
    }
    return servers.add(work, SUPPORT, account=account, name=name, **given)  # type: ignore[arg-type]


def test_an_account_whose_name_is_a_number_is_found_by_it(runtime: Runtime) -> None:
    with runtime.work() as work:
        first = accounts.add(work, SUPPORT, "Example")
        number = accounts.add(work, SUPPORT, str(first.id))
        work.commit()
        assert accounts.find(work, SUPPORT, str(first.id)).id == number.id
        assert accounts.find(work, SUPPORT, str(number.id)).id == number.id


@pytest.mark.parametrize("name", ["", "nobody", "9" * 18, "9" * 400, "-1", "²", "0x1"])
def test_what_is_not_there_is_not_found(runtime: Runtime, ours: Customer, name: str) -> None:
    with runtime.work() as work:
        for find in (accounts.find, servers.find, stores.find, users.find):
            with pytest.raises(NotFound):
                find(work, SUPPORT, name)


def test_names_are_taken_once_in_an_account(
    runtime: Runtime, ours: Customer, theirs: Customer
) -> None:
    with runtime.work() as work:
        with pytest.raises(Conflict, match="ours"):
            accounts.add(work, SUPPORT, " ours ")
        with pytest.raises(Conflict, match="web-1"):
            _server(work, ours.account, "web-1")
        with pytest.raises(Conflict, match="main"):
            stores.add(work, SUPPORT, account=ours.account, name="main", config=_config("new"))
        with pytest.raises(Conflict):
            users.add(
                work,
                SUPPORT,
                email="SOMEONE@ours.example",
                password="correct horse",
                role=Role.SUPPORT,
                account=None,
            )


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("disk", {"disks": []}),
        ("disk", {"disks": [("ftp", "/x")]}),
        ("disk", {"disks": [("file", "relative")]}),
        ("disk", {"disks": [("file", "/nul\0")]}),
        ("host", {"host": ""}),
        ("host", {"host": "a\nb"}),
        ("host", {"host": "h" * 101}),
    ],
)
def test_a_server_that_could_not_work_is_refused(
    runtime: Runtime, ours: Customer, field: str, other: dict[str, object]
) -> None:
    with runtime.work() as work, pytest.raises(InvalidInput) as refused:
        _server(work, ours.account, "new", **other)
    assert refused.value.field == field


def test_a_servers_host_is_known_from_then_on(runtime: Runtime, ours: Customer) -> None:
    with runtime.work() as work:
        _server(work, ours.account, "db-1", host="kvm-9", disks=[("file", "/a"), ("block", "/b")])
        work.commit()
    with runtime.work() as work:
        host = work.session.get(Host, "kvm-9")
        assert host is not None
        assert host.seen_at is None
        disks = servers.find(work, SUPPORT, "db-1").disks
        assert [(disk.position, disk.driver) for disk in disks] == [(1, "file"), (2, "block")]


# -- users ---------------------------------------------------------------------------------------


def test_a_password_lets_in_and_its_change_ends_sessions(runtime: Runtime, ours: Customer) -> None:
    email = ours.user.email
    with runtime.work() as work:
        user = users.authenticate(work, f" {email.upper()} ", "correct horse")
        assert user is not None
        assert users.authenticate(work, email, "wrong horse") is None
        assert users.authenticate(work, "nobody@ours.example", "correct horse") is None
        epoch = user.session_epoch
        assert users.signed_in(work, user.id, epoch) is not None
        users.set_password(work, user, "battery staple")
        work.commit()
    with runtime.work() as work:
        assert users.signed_in(work, ours.user.id, epoch) is None
        assert users.authenticate(work, email, "correct horse") is None
        assert users.authenticate(work, email, "battery staple") is not None


def test_what_hashes_passwords_is_dear() -> None:
    """At least RFC 9106's choice for where memory is short: 3 passes over 64 MiB in 4 lanes."""
    hasher = IN_PRODUCTION()
    assert hasher.type is Type.ID
    assert hasher.time_cost >= 3
    assert hasher.memory_cost >= 64 * 1024
    assert hasher.parallelism >= 4


def test_a_hash_that_became_cheap_is_made_anew(
    runtime: Runtime, ours: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_hasher", IN_PRODUCTION)
    with runtime.work() as work:
        assert users.authenticate(work, ours.user.email, "correct horse") is not None
        work.commit()
    with runtime.work() as work:
        stored = users.find(work, SUPPORT, ours.user.email).password_hash
    assert stored != ours.user.password_hash
    assert not IN_PRODUCTION().check_needs_rehash(stored)


def test_the_database_holds_no_password(runtime: Runtime, ours: Customer) -> None:
    assert "correct horse" not in ours.user.password_hash
    assert ours.user.password_hash.startswith("$argon2id$")
    with runtime.work() as work:
        user = users.find(work, SUPPORT, ours.user.email)
        assert user.password_hash not in repr(user)


@pytest.mark.parametrize("password", ["", "x" * 9, "x" * 1001])
def test_a_password_has_its_lengths(runtime: Runtime, ours: Customer, password: str) -> None:
    with runtime.work() as work, pytest.raises(InvalidInput) as refused:
        users.set_password(work, users.find(work, SUPPORT, ours.user.email), password)
    assert refused.value.field == "password"
    if password:
        assert password not in refused.value.message


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@b@c", "a b@c.d", "a@b\nc", "@", "x" * 251 + "@b.c"]
)
def test_an_address_looks_like_one(runtime: Runtime, email: str) -> None:
    with runtime.work() as work, pytest.raises(InvalidInput) as refused:
        users.add(
            work,
            SUPPORT,
            email=email,
            password="correct horse",
            role=Role.SUPPORT,
            account=None,
        )
    assert refused.value.field == "email"


def test_a_role_and_an_account_go_together(runtime: Runtime, ours: Customer) -> None:
    with runtime.work() as work:
        for role, account in ((Role.CUSTOMER, None), (Role.SUPPORT, ours.account)):
            with pytest.raises(InvalidInput) as refused:
                users.add(
                    work,
                    SUPPORT,
                    email="new@ours.example",
                    password="correct horse",
                    role=role,
                    account=account,
                )
            assert refused.value.field == "account"


# -- stores --------------------------------------------------------------------------------------


def _config(owner: str, **other: object) -> StoreConfig:
    return StoreConfig("memory", "memory:customers", user=owner, key="a secret key", **other)  # type: ignore[arg-type]


def test_a_store_opens_again_from_what_was_kept(runtime: Runtime, ours: Customer) -> None:
    with runtime.work() as work:
        record = stores.find(work, SUPPORT, "main")
        store = stores.open_store_of(work, record)
        assert store.container == "miniserver-snapshots"
        store.close()
        facts = stores.facts(work, record)
        assert "secret" not in str(facts)
        assert facts["user"] == "ours"
        assert b"secret" not in record.sealed
        assert "sealed" not in repr(record)


def test_one_container_is_one_record_whatever_its_name(
    runtime: Runtime, ours: Customer, theirs: Customer
) -> None:
    with runtime.work() as work:
        stores.add(work, SUPPORT, account=ours.account, name="new", config=_config("same"))
        with pytest.raises(Conflict, match="already registered"):
            stores.add(work, SUPPORT, account=theirs.account, name="x", config=_config("same"))


def test_a_secret_belongs_to_its_row(runtime: Runtime, ours: Customer, theirs: Customer) -> None:
    with runtime.work() as work:
        mine = work.session.get_one(StoreRecord, ours.store.id)
        mine.sealed = theirs.store.sealed
        with pytest.raises(VaultError):
            stores.open_store_of(work, mine)


def test_a_key_can_be_changed_and_the_old_one_retired(
    runtime: Runtime, ours: Customer, tmp_path: object, database_url: str
) -> None:
    old = Vault([(runtime.settings.data / "key").read_text().strip()])
    fresh = Fernet.generate_key().decode()
    both = f"{fresh},{(runtime.settings.data / 'key').read_text().strip()}"

    def opened(key: str) -> Runtime:
        return Runtime.open(
            Settings(data=tmp_path, database_url=database_url, key=key)  # type: ignore[arg-type]
        )

    purpose = f"store {ours.store.identity}"
    with opened(fresh).work() as work, pytest.raises(VaultError):
        stores.facts(work, stores.find(work, SUPPORT, "main"))
    with opened(both).work() as work:
        assert stores.facts(work, stores.find(work, SUPPORT, "main"))["user"] == "ours"
        assert stores.reseal(work, SUPPORT) == 1
        work.commit()
    with opened(fresh).work() as work:
        record = stores.find(work, SUPPORT, "main")
        assert work.vault.open(purpose, record.sealed)["key"] == "secret"
        with pytest.raises(VaultError):
            old.open(purpose, record.sealed)


def test_a_stores_key_is_changed_in_place(runtime: Runtime, ours: Customer) -> None:
    with runtime.work() as work:
        record = stores.find(work, SUPPORT, "main")
        before = work.vault.open(f"store {record.identity}", record.sealed)
        stores.set_key(work, SUPPORT, record, "a new key")
        work.commit()
    with runtime.work() as work:
        record = stores.find(work, SUPPORT, "main")
        after = work.vault.open(f"store {record.identity}", record.sealed)
        assert after == {**before, "key": "a new key"}
