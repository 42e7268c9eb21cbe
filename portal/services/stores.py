"""Stores: where a customer's snapshots go.

What must always hold:
- A store is kept only after it let us in and has our container.
- Credentials never leave this module but inside an open store.
- One container is one record: two records would sweep each other's parts.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from portal.domain.errors import Conflict, NotFound
from portal.domain.names import check_name
from portal.records import Account, StoreRecord
from portal.services.authority import Actor, own_stores, require_support
from portal.stores.config import StoreConfig
from portal.stores.open_store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.stores.interface import Store
    from portal.work import Work


def add(
    work: Work, actor: Actor, *, account: Account, name: str, config: StoreConfig
) -> StoreRecord:
    """Try the store, then keep it. `config.temp_url_key` is made here where it is empty."""
    require_support(actor)
    name = check_name(name, what="store")
    config = config.with_temp_url_key(config.temp_url_key or secrets.token_hex(32))
    identity = hashlib.sha256(config.identity.encode()).hexdigest()
    session = work.session
    if session.scalar(
        select(StoreRecord.id).where(StoreRecord.account_id == account.id, StoreRecord.name == name)
    ):
        raise Conflict(f"The account already has a store named “{name}”.")
    # Before the container is touched: trying it puts the record's own key for links there.
    if session.scalar(select(StoreRecord.id).where(StoreRecord.identity == identity)):
        raise Conflict("This container is already registered as a store.")
    store = open_store(config.hurried())  # somebody waits
    try:
        store.ensure_container()
    finally:
        store.close()
    record = StoreRecord(
        account_id=account.id,
        name=name,
        driver=config.driver,
        address=config.auth_url,
        identity=identity,
        sealed=work.vault.seal(_purpose(identity), config.as_text()),
    )
    session.add(record)
    session.flush()
    session.refresh(record)
    return record


def move(work: Work, actor: Actor, record: StoreRecord, config: StoreConfig) -> None:
    """The same store at another address or with other credentials: tried, then kept."""
    require_support(actor)
    kept = StoreConfig.from_text(work.vault.open(_purpose(record.identity), record.sealed))
    config = config.with_temp_url_key(kept.temp_url_key)
    identity = hashlib.sha256(config.identity.encode()).hexdigest()
    if work.session.scalar(
        select(StoreRecord.id).where(StoreRecord.identity == identity, StoreRecord.id != record.id)
    ):
        raise Conflict("This container is already registered as a store.")
    store = open_store(config.hurried())  # somebody waits
    try:
        store.ensure_container()
    finally:
        store.close()
    record.address = config.auth_url
    record.identity = identity
    record.sealed = work.vault.seal(_purpose(identity), config.as_text())
    work.session.flush()


def open_store_of(work: Work, record: StoreRecord, *, hurry: bool = False) -> Store:
    """The store behind a record; the caller closes it. `hurry` where a person waits for a page."""
    config = _config_of(work, record)
    return open_store(config.hurried() if hurry else config)


def facts(work: Work, record: StoreRecord) -> dict[str, str]:
    """How the store is reached, for people: no secret among them, nothing that is not set."""
    config = _config_of(work, record)
    shown = ["auth_url", "auth_version", "user", "region", "container", "ca_file"]
    if config.auth_version == "3":
        shown += ["project", "user_domain", "project_domain"]
    text = config.as_text()
    return {key: text[key] for key in shown if text[key]}


def set_key(work: Work, actor: Actor, record: StoreRecord, key: str) -> None:
    """Change the store's key, once the store has let us in with it."""
    require_support(actor)
    config = replace(_config_of(work, record), key=key)
    store = open_store(config.hurried())  # somebody waits
    try:
        store.ensure_container()
    finally:
        store.close()
    record.sealed = work.vault.seal(_purpose(record.identity), config.as_text())
    work.session.flush()


def reseal(work: Work, actor: Actor) -> int:
    """Encrypt all credentials anew with the vault's first key; how many."""
    require_support(actor)
    records = list_stores(work, actor)
    for record in records:
        purpose = _purpose(record.identity)
        record.sealed = work.vault.seal(purpose, work.vault.open(purpose, record.sealed))
    work.session.flush()
    return len(records)


def list_stores(work: Work, actor: Actor) -> Sequence[StoreRecord]:
    """The actor's stores, by name."""
    return work.session.scalars(own_stores(actor)).all()


def list_for(work: Work, actor: Actor, account_id: int) -> Sequence[StoreRecord]:
    """The stores of one account, as far as the actor may see them."""
    return work.session.scalars(own_stores(actor).where(StoreRecord.account_id == account_id)).all()


def find(work: Work, actor: Actor, name: str, *, account_id: int | None = None) -> StoreRecord:
    """The store of this name or number, of one account where that is given."""
    query = own_stores(actor)
    if account_id is not None:
        query = query.where(StoreRecord.account_id == account_id)
    found = work.session.scalars(query.where(StoreRecord.name == name)).all()
    if not found and name.isdecimal() and len(name) < 19:
        found = work.session.scalars(query.where(StoreRecord.id == int(name))).all()
    if not found:
        raise NotFound(f"There is no store “{name}”.")
    if len(found) > 1:
        numbers = ", ".join(str(store.id) for store in found)
        raise Conflict(f"Several stores are named “{name}”: give one's number ({numbers}).")
    return found[0]


def _config_of(work: Work, record: StoreRecord) -> StoreConfig:
    return StoreConfig.from_text(work.vault.open(_purpose(record.identity), record.sealed))


def _purpose(identity: str) -> str:
    return f"store {identity}"
