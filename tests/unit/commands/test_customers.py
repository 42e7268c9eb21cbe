"""`flask accounts|users|servers|stores`: add, list, show, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.commands.hidden import generated
from portal.services import users

if TYPE_CHECKING:
    from portal.work import Runtime
    from tests.unit.commands.conftest import Commands


def test_an_account(flask: Commands) -> None:
    added = flask.json("accounts", "add", " Example Ltd ")
    assert added["name"] == "Example Ltd"
    assert added.keys() == {"id", "name", "created_at"}
    assert flask.json("accounts", "list") == [added]
    shown = flask.json("accounts", "show", "Example Ltd")
    assert shown == {**added, "users": [], "servers": [], "stores": []}
    assert flask.json("accounts", "show", str(added["id"])) == shown
    assert flask.refused(4, "accounts", "add", "Example Ltd")
    assert flask.refused(3, "accounts", "show", "nobody") == "There is no account “nobody”."
    assert flask.refused(2, "accounts", "add", "")


def test_lists_are_tables_that_line_up(flask: Commands) -> None:
    for name in ("Short", "サーバー", "A rather longer name"):
        flask.ok("accounts", "add", name)
    head, *rows = flask.ok("accounts", "list").splitlines()
    assert head.split()[:2] == ["ID", "NAME"]
    assert [row.split("  ")[1] for row in rows] == ["A rather longer name", "Short", "サーバー"]
    assert "\x1b" not in head
    # The last column begins in the same place; each of these letters is two places wide.
    assert rows[0].index("20") == rows[1].index("20") == rows[2].index("20") + 4


def test_an_empty_list_is_a_head_and_an_empty_array(flask: Commands) -> None:
    for noun in ("accounts", "users", "servers", "stores", "snapshots"):
        assert flask.json(noun, "list") == []
        assert len(flask.ok(noun, "list").splitlines()) == 1


# -- users ---------------------------------------------------------------------------------------


def test_a_user_with_a_password_from_the_standard_input(
    flask: Commands, runtime: Runtime, customer: str
) -> None:
    arguments = ("users", "add", "Ann@Example.com", "--account", customer, "--password-stdin")
    added = flask.json(*arguments, stdin="correct horse\n")
    assert added["email"] == "ann@example.com"
    assert (added["role"], added["account"]) == ("customer", "Example")
    assert "password" not in added
    assert flask.json("users", "show", "ann@example.com") == added
    assert flask.json("users", "list") == [added]
    with runtime.work() as work:
        assert users.authenticate(work, "ann@example.com", "correct horse") is not None
    assert flask.refused(4, *arguments, stdin="correct horse\n")


def test_a_generated_password_is_printed_once_and_works(flask: Commands, runtime: Runtime) -> None:
    printed = flask.ok("users", "add", "s@example.com", "--support", "--generate")
    password = printed.splitlines()[1].removeprefix("Password: ")
    with runtime.work() as work:
        assert users.authenticate(work, "s@example.com", password) is not None
    assert password not in flask.ok("users", "show", "s@example.com")
    changed = flask.json("users", "set-password", "s@example.com", "--generate")
    with runtime.work() as work:
        assert users.authenticate(work, "s@example.com", password) is None
        assert users.authenticate(work, "s@example.com", changed["password"]) is not None


def test_generated_passwords_differ_and_are_long_enough() -> None:
    made = {generated() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= users.PASSWORD_MIN


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["a@b.c"], "", "--account"),
        (["a@b.c", "--support", "--account", "Example", "--generate"], "", "--account"),
        (["a@b.c", "--support"], "", "no terminal"),
        (["a@b.c", "--support", "--password-stdin"], "", "no password"),
        (["a@b.c", "--support", "--password-stdin"], "short\n", "10 to 1000"),
        (["a@b.c", "--support", "--password-stdin"], "x" * 5000, "too long"),
        (["a@b.c", "--support", "--password-stdin", "--generate"], "long enough\n", "not both"),
        (["nonsense", "--support", "--generate"], "", "e-mail"),
    ],
)
def test_a_user_is_refused(
    flask: Commands, customer: str, arguments: list[str], stdin: str, says: str
) -> None:
    assert says in flask.refused(2, "users", "add", *arguments, stdin=stdin)
    assert flask.json("users", "list") == []


def test_a_password_is_never_an_argument(flask: Commands) -> None:
    for command in ("add", "set-password"):
        assert flask.refused(2, "users", command, "a@b.c", "--password", "hunter2 hunter2")


def test_who_is_not_there_is_not_found(flask: Commands) -> None:
    assert flask.refused(3, "users", "show", "nobody@example.com")
    assert flask.refused(3, "users", "set-password", "nobody@example.com", "--generate")
    assert flask.refused(3, "users", "add", "a@b.c", "--account", "nobody", "--generate")


# -- servers -------------------------------------------------------------------------------------


def test_a_server(flask: Commands, customer: str) -> None:
    arguments = ("servers", "add", "db/1", "--account", customer, "--os", "Debian 12")
    disks = ("--disk", "file:/disks/a", "--disk", "block:/dev/vg/b", "--disk", "/dev/sdx")
    added = flask.json(*arguments, *disks)
    assert added["host"] == "kvm-1"
    assert added["folder"] == "db%2F1"
    assert [(disk["driver"], disk["address"]) for disk in added["disks"]] == [
        ("file", "/disks/a"),
        ("block", "/dev/vg/b"),
        ("block", "/dev/sdx"),
    ]
    shown = flask.json("servers", "show", "db/1")
    assert shown == {**added, "snapshots": 0, "job": None}
    assert [server["name"] for server in flask.json("servers", "list")] == ["db/1", "web-1"]
    assert "file:/disks/a, not seen yet" in flask.ok("servers", "show", "db/1")
    assert flask.refused(4, *arguments, *disks)


@pytest.mark.parametrize(
    ("disk", "says"),
    [("nonsense", "DRIVER:PATH"), ("ftp:/x", "no disk driver"), ("file:x", "absolute"), ("", "")],
)
def test_a_disk_is_refused(flask: Commands, customer: str, disk: str, says: str) -> None:
    assert says in flask.refused(2, "servers", "add", "new", "--account", customer, "--disk", disk)


def test_a_servers_list_is_narrowed_by_account(flask: Commands, customer: str) -> None:
    flask.ok("accounts", "add", "Other")
    assert flask.json("servers", "list", "--account", "Other") == []
    assert len(flask.json("servers", "list", "--account", customer)) == 1
    assert flask.refused(3, "servers", "list", "--account", "nobody")


# -- stores --------------------------------------------------------------------------------------


def test_a_store_shows_everything_but_its_key(flask: Commands, customer: str) -> None:
    for arguments in (("list",), ("show", "main"), ("check", "main")):
        assert "secret" not in flask.ok("stores", *arguments)
        assert "secret" not in flask.ok("stores", *arguments, "--json")
    shown = flask.json("stores", "show", "main")
    assert shown["settings"]["container"] == "miniserver-snapshots"
    assert flask.json("stores", "check", "main")["reachable"] is True
    assert flask.refused(3, "stores", "show", "nothing")


def test_a_stores_key_comes_unseen(
    flask: Commands, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ("stores", "add", "n", "--account", customer, "--auth-url", "ftp://x", "--user", "u")
    assert "--key-stdin" in flask.refused(2, *add)
    assert "https://" in flask.refused(2, *add, "--key-stdin", stdin="k\n")
    monkeypatch.setenv("SNAPPORT_STORE_KEY", "k")
    assert "https://" in flask.refused(2, *add)
    assert flask.refused(2, *add, "--key", "k")
    flask.ok("stores", "set-key", "main")
    assert flask.json("stores", "reseal") == {"resealed": 1}
