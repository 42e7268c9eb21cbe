"""`flask stores`: where customers' snapshots go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from portal.commands import documents, hidden
from portal.commands.amounts import clock
from portal.commands.documents import json_option
from portal.commands.session import SUPPORT, PortalGroup, open_work
from portal.commands.table import print_facts, print_table, say
from portal.domain.names import CONTAINER
from portal.services import accounts
from portal.services import stores as services
from portal.stores.config import StoreConfig

if TYPE_CHECKING:
    from portal.records import StoreRecord
    from portal.work import Work

KEY_VARIABLE = "SNAPPORT_STORE_KEY"

_key_option = click.option(
    "--key-stdin", is_flag=True, help="Read the key (password) from the standard input."
)
_account_option = click.option("--account", metavar="NAME", help="Only this customer's.")


@click.group("stores", cls=PortalGroup)
def group() -> None:
    """Object stores: add, list, show, check, set-key, reseal."""


@group.command("add")
@click.argument("name")
@click.option("--account", required=True, metavar="NAME", help="The customer it belongs to.")
@click.option("--auth-url", required=True, metavar="URL", help="Swift's v1 or Keystone's address.")
@click.option("--user", required=True, metavar="NAME", help="v1: account:user; 3: the user's name.")
@_key_option
@click.option("--auth-version", type=click.Choice(["1", "3"]), default="1", show_default=True)
@click.option("--project", default="", metavar="NAME", help="Keystone's project.")
@click.option("--user-domain", default="Default", show_default=True, metavar="NAME")
@click.option("--project-domain", default="Default", show_default=True, metavar="NAME")
@click.option("--region", default="", metavar="NAME", help="Where the catalogue has several.")
@click.option(
    "--application-credential",
    is_flag=True,
    help="--user is an application credential's id, the key its secret (Keystone).",
)
@click.option("--container", default=CONTAINER, show_default=True, metavar="NAME")
@click.option("--ca-file", default="", metavar="PATH", help="Certificates to trust for https.")
@json_option
def add(
    *,
    name: str,
    account: str,
    auth_url: str,
    user: str,
    key_stdin: bool,
    auth_version: str,
    project: str,
    user_domain: str,
    project_domain: str,
    region: str,
    application_credential: bool,
    container: str,
    ca_file: str,
    as_json: bool,
) -> None:
    """Add a customer's store, once it has let us in; its container is made if it is not there.

    The key is asked for on the terminal, read from the standard input with --key-stdin, or taken
    from the variable SNAPPORT_STORE_KEY. It is kept encrypted.

    \b
    Example:
      flask stores add main --account "Example Ltd" --auth-version 3 \\
        --auth-url https://keystone.example.com/v3 --project example \\
        --user snapport --key-stdin < key
    """
    with open_work() as work:
        owner = accounts.find(work, SUPPORT, account)
        store = services.add(
            work,
            SUPPORT,
            account=owner,
            name=name,
            config=StoreConfig(
                driver="swift",
                auth_url=auth_url,
                user=user,
                key=_key(stdin=key_stdin),
                auth_version=auth_version,
                container=container,
                project=project,
                user_domain=user_domain,
                project_domain=project_domain,
                region=region,
                application_credential=application_credential,
                ca_file=ca_file,
            ),
        )
        work.commit()
    if as_json:
        documents.emit(documents.store(store))
    else:
        say(f"Store {store.id} “{store.name}” is added: it answers and has its container.")


@group.command("list")
@_account_option
@json_option
def list_(*, account: str | None, as_json: bool) -> None:
    """List the stores by name.

    \b
    Example:
      flask stores list --json
    """
    with open_work() as work:
        if account is not None:
            found = services.list_for(work, SUPPORT, accounts.find(work, SUPPORT, account).id)
        else:
            found = services.list_stores(work, SUPPORT)
    if as_json:
        documents.emit([documents.store(store) for store in found])
    else:
        print_table(
            ("ID", "NAME", "ACCOUNT", "DRIVER", "ADDRESS"),
            [(str(s.id), s.name, s.account.name, s.driver, s.address) for s in found],
            right="ID",
        )


@group.command("show")
@click.argument("name")
@_account_option
@json_option
def show(*, name: str, account: str | None, as_json: bool) -> None:
    """Show a store (NAME or number): everything but its key.

    \b
    Example:
      flask stores show main --account "Example Ltd"
    """
    with open_work() as work:
        store = _find(work, name, account)
        facts = services.facts(work, store)
    if as_json:
        documents.emit({**documents.store(store), "settings": facts})
        return
    print_facts(
        [
            ("Store", f"{store.name} (number {store.id})"),
            ("Account", store.account.name),
            ("Driver", store.driver),
            *((name.replace("_", " ").capitalize(), value) for name, value in facts.items()),
            ("Added", f"{clock(store.created_at)} UTC"),
        ]
    )


@group.command("check")
@click.argument("name")
@_account_option
@json_option
def check(*, name: str, account: str | None, as_json: bool) -> None:
    """Ask a store whether it lets us in and has its container; exit code 6 if not.

    \b
    Example:
      flask stores check main
    """
    with open_work() as work:
        record = _find(work, name, account)
        store = services.open_store_of(work, record, hurry=True)
        try:
            store.ensure_container()
            limits = store.limits()
        finally:
            store.close()
    if as_json:
        documents.emit(
            {
                **documents.store(record),
                "reachable": True,
                "manifest_segments": limits.manifest_segments,
                "object_bytes": limits.object_bytes,
                "temp_url": limits.temp_url,
            }
        )
    else:
        say(f"Store “{record.name}” answers and has its container.")


@group.command("set-key")
@click.argument("name")
@_account_option
@_key_option
@json_option
def set_key(*, name: str, account: str | None, key_stdin: bool, as_json: bool) -> None:
    """Give a store its new key (password), once the store has accepted it.

    \b
    Example:
      flask stores set-key main --key-stdin < newkey
    """
    with open_work() as work:
        record = _find(work, name, account)
        services.set_key(work, SUPPORT, record, _key(stdin=key_stdin))
        work.commit()
    if as_json:
        documents.emit(documents.store(record))
    else:
        say(f"Store “{record.name}” has its new key.")


@group.command("reseal")
@json_option
def reseal(*, as_json: bool) -> None:
    """Encrypt every store's credentials anew with the first key of SNAPPORT_KEY (or the key file).

    After this, the older keys are needed for nothing that is stored.

    \b
    Example:
      flask stores reseal
    """
    with open_work() as work:
        count = services.reseal(work, SUPPORT)
        work.commit()
    if as_json:
        documents.emit({"resealed": count})
    else:
        say(f"Stores encrypted anew: {count}.")


def _find(work: Work, name: str, account: str | None) -> StoreRecord:
    owner = accounts.find(work, SUPPORT, account) if account is not None else None
    return services.find(work, SUPPORT, name, account_id=owner.id if owner else None)


def _key(*, stdin: bool) -> str:
    if stdin:
        return hidden.from_stdin("key")
    if given := os.environ.get(KEY_VARIABLE):
        return given
    return hidden.typed("key", instead=f"--key-stdin or {KEY_VARIABLE}", twice=False)
