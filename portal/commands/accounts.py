"""`flask accounts`: the customers."""

from __future__ import annotations

import click

from portal.commands import documents
from portal.commands.amounts import clock
from portal.commands.documents import json_option
from portal.commands.session import SUPPORT, PortalGroup, open_work
from portal.commands.table import print_facts, print_table, say
from portal.services import accounts as services
from portal.services import servers, stores, users


@click.group("accounts", cls=PortalGroup)
def group() -> None:
    """Customers: add, list, show."""


@group.command("add")
@click.argument("name")
@json_option
def add(*, name: str, as_json: bool) -> None:
    """Add a customer.

    \b
    Example:
      flask accounts add "Example Ltd"
    """
    with open_work() as work:
        account = services.add(work, SUPPORT, name)
        work.commit()
    if as_json:
        documents.emit(documents.account(account))
    else:
        say(f"Account {account.id} “{account.name}” is added.")


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all customers by name.

    \b
    Example:
      flask accounts list --json
    """
    with open_work() as work:
        found = services.list_accounts(work, SUPPORT)
    if as_json:
        documents.emit([documents.account(account) for account in found])
    else:
        print_table(
            ("ID", "NAME", "ADDED (UTC)"),
            [(str(account.id), account.name, clock(account.created_at)) for account in found],
            right="ID",
        )


@group.command("show")
@click.argument("name")
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show a customer (NAME or number) with its users, servers and stores.

    \b
    Example:
      flask accounts show "Example Ltd"
    """
    with open_work() as work:
        account = services.find(work, SUPPORT, name)
        people = [u.email for u in users.list_users(work, SUPPORT) if u.account_id == account.id]
        machines = [
            s.name for s in servers.list_servers(work, SUPPORT) if s.account_id == account.id
        ]
        kept = [s.name for s in stores.list_for(work, SUPPORT, account.id)]
    if as_json:
        documents.emit(
            {**documents.account(account), "users": people, "servers": machines, "stores": kept}
        )
    else:
        print_facts(
            [
                ("Account", f"{account.name} (number {account.id})"),
                ("Added", f"{clock(account.created_at)} UTC"),
                ("Users", ", ".join(people)),
                ("Servers", ", ".join(machines)),
                ("Stores", ", ".join(kept)),
            ]
        )
