"""The demonstration: an account with a store and two servers, so that a first look needs no set-up.

What must always hold: preparing it twice changes nothing; what a person changed stays as it is.
The store alone follows the embedded Swift, should its port have moved.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.domain.errors import NotFound
from portal.embedded import demo_disks
from portal.records.user import Role
from portal.services import accounts, servers, stores, users
from portal.services.authority import Actor
from portal.stores.config import StoreConfig
from portal.work import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.embedded.folder import DataFolder
    from portal.records import Account
    from portal.settings import Settings
    from portal.work import Work

ACCOUNT = "Demonstration"
EMAIL = "demo@snapport.example"
STORE = "Demo store"

_SERVERS = (
    ("web-1", "Linux", demo_disks.WEB),
    ("office-1", "Windows", demo_disks.OFFICE),
)

_EASY = "abcdefghjkmnpqrstuvwxyz23456789"  # none that reads like another


@dataclass(frozen=True, slots=True)
class SignIn:
    """How to sign in to the demonstration."""

    email: str
    password: str


def prepare(settings: Settings, folder: DataFolder, say: Callable[[str], None]) -> SignIn | None:
    """Make what is not there yet; how to sign in, or None where somebody changed the password.

    Needs the migrated database and Swift.
    """
    runtime = Runtime.open(settings)
    try:
        with runtime.work() as work:
            account = _account(work)
            sign_in = _sign_in(work, account, folder)
            _store(work, account, settings)
            for name, operating_system, image in _SERVERS:
                _server(work, account, folder, say, name, operating_system, image)
            work.commit()
    finally:
        runtime.close()
    return sign_in


def _account(work: Work) -> Account:
    try:
        return accounts.find(work, Actor.support(), ACCOUNT)
    except NotFound:
        return accounts.add(work, Actor.support(), ACCOUNT)


def _sign_in(work: Work, account: Account, folder: DataFolder) -> SignIn | None:
    password = folder.secret("demo-password", _easy_password)
    try:
        users.find(work, Actor.support(), EMAIL)
    except NotFound:
        users.add(
            work,
            Actor.support(),
            email=EMAIL,
            password=password,
            role=Role.CUSTOMER,
            account=account,
        )
    else:
        if users.authenticate(work, EMAIL, password) is None:
            return None
    return SignIn(EMAIL, password)


def _store(work: Work, account: Account, settings: Settings) -> None:
    config = StoreConfig(
        driver="swift",
        auth_url=settings.swift_auth_url,
        user=settings.swift_user,
        key=settings.swift_key.get_secret_value(),
    )
    try:
        record = stores.find(work, Actor.support(), STORE, account_id=account.id)
    except NotFound:
        stores.add(work, Actor.support(), account=account, name=STORE, config=config)
    else:
        if record.address != config.auth_url:
            stores.move(work, Actor.support(), record, config)


def _server(  # the demonstration's two differ in these alone
    work: Work,
    account: Account,
    folder: DataFolder,
    say: Callable[[str], None],
    name: str,
    operating_system: str,
    image: demo_disks.DiskImage,
) -> None:
    path = folder.disks / image.name
    if not path.exists():
        say(f"making the disk of {name} ({image.size // 1024**3} GiB, sparse)")
        demo_disks.make(image, folder.disks)
    if any(server.name == name for server in servers.list_servers(work, Actor(None, account.id))):
        return
    servers.add(
        work,
        Actor.support(),
        account=account,
        name=name,
        operating_system=operating_system,
        host=work.settings.host,
        disks=[("file", str(path))],
    )


def _easy_password() -> str:
    return "-".join("".join(secrets.choice(_EASY) for _ in range(4)) for _ in range(4))
