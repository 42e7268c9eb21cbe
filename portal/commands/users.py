"""`flask users`: who signs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from portal.commands import documents, hidden
from portal.commands.amounts import clock
from portal.commands.documents import json_option
from portal.commands.session import SUPPORT, PortalGroup, open_work
from portal.commands.table import print_facts, print_table, say
from portal.records.user import Role
from portal.services import accounts
from portal.services import users as services

if TYPE_CHECKING:
    from portal.records import User

_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the standard input."
)
_generate_option = click.option(
    "--generate", is_flag=True, help="Make a password and print it, once."
)


@click.group("users", cls=PortalGroup)
def group() -> None:
    """People who sign in: add, list, show, set-password."""


@group.command("add")
@click.argument("email")
@click.option("--account", metavar="NAME", help="The customer that this person belongs to.")
@click.option("--support", is_flag=True, help="A person of support: sees every account.")
@_stdin_option
@_generate_option
@json_option
def add(
    *,
    email: str,
    account: str | None,
    support: bool,
    password_stdin: bool,
    generate: bool,
    as_json: bool,
) -> None:
    """Add a person, for a customer (--account) or for support (--support).

    The password is asked for on the terminal, unless --password-stdin or --generate is given.

    \b
    Example:
      flask users add ann@example.com --account "Example Ltd" --generate
    """
    if (account is None) != support:
        raise click.UsageError("Give --account NAME or --support")
    with open_work() as work:
        owner = accounts.find(work, SUPPORT, account) if account is not None else None
        password = _password(stdin=password_stdin, generate=generate)
        user = services.add(
            work,
            SUPPORT,
            email=email,
            password=password,
            role=Role.SUPPORT if support else Role.CUSTOMER,
            account=owner,
        )
        work.session.refresh(user)
        work.commit()
    _answer(user, f"User {user.email} is added.", password if generate else None, as_json=as_json)


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List everybody who can sign in, by e-mail address.

    \b
    Example:
      flask users list
    """
    with open_work() as work:
        found = services.list_users(work, SUPPORT)
    if as_json:
        documents.emit([documents.user(user) for user in found])
    else:
        print_table(
            ("ID", "EMAIL", "ROLE", "ACCOUNT", "ADDED (UTC)"),
            [
                (
                    str(user.id),
                    user.email,
                    user.role.value,
                    user.account.name if user.account else "",
                    clock(user.created_at),
                )
                for user in found
            ],
            right="ID",
        )


@group.command("show")
@click.argument("email")
@json_option
def show(*, email: str, as_json: bool) -> None:
    """Show a person.

    \b
    Example:
      flask users show ann@example.com
    """
    with open_work() as work:
        user = services.find(work, SUPPORT, email)
    if as_json:
        documents.emit(documents.user(user))
    else:
        print_facts(
            [
                ("User", f"{user.email} (number {user.id})"),
                ("Role", user.role.value),
                ("Account", user.account.name if user.account else ""),
                ("Added", f"{clock(user.created_at)} UTC"),
            ]
        )


@group.command("set-password")
@click.argument("email")
@_stdin_option
@_generate_option
@json_option
def set_password(*, email: str, password_stdin: bool, generate: bool, as_json: bool) -> None:
    """Change a person's password; everything signed in with the old one is signed out.

    \b
    Example:
      flask users set-password ann@example.com --generate
    """
    with open_work() as work:
        user = services.find(work, SUPPORT, email)
        password = _password(stdin=password_stdin, generate=generate)
        services.set_password(work, user, password)
        work.commit()
    _answer(
        user,
        f"The password of {user.email} is changed.",
        password if generate else None,
        as_json=as_json,
    )


def _password(*, stdin: bool, generate: bool) -> str:
    if stdin and generate:
        raise click.UsageError("Give --password-stdin or --generate, not both")
    if stdin:
        return hidden.from_stdin("password")
    if generate:
        return hidden.generated()
    return hidden.typed("password", instead="--password-stdin or --generate", twice=True)


def _answer(user: User, sentence: str, password: str | None, *, as_json: bool) -> None:
    if as_json:
        made = {"password": password} if password is not None else {}
        documents.emit({**documents.user(user), **made})
        return
    say(sentence)
    if password is not None:
        say(f"Password: {password}")
