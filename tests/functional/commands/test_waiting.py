"""`--wait` and secrets at a real terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import SwiftEndpoint
    from tests.functional.commands.conftest import Shell, Terminal

TAKE = ("snapshots", "take", "web-1", "--store", "main", "--wait")


@pytest.fixture
def customer(shell: Shell, swift_endpoint: SwiftEndpoint, tmp_path: Path) -> None:
    """A server with a disk and a store, and nobody who would take its snapshot."""
    disk = tmp_path / "disk"
    disk.write_bytes(b"x" * 4096)
    for arguments in (
        ("accounts", "add", "Example"),
        ("servers", "add", "web-1", "--account", "Example", "--disk", f"file:{disk}"),
        (
            *("stores", "add", "main", "--account", "Example", "--key-stdin"),
            *("--auth-url", swift_endpoint.auth_url, "--user", swift_endpoint.user),
        ),
    ):
        ended = shell.run(*arguments, stdin=swift_endpoint.key + "\n")
        assert ended.returncode == 0, ended.stderr


def test_ctrl_c_ends_the_waiting_alone(
    shell: Shell, terminal: Callable[..., Terminal], customer: None
) -> None:
    screen = terminal(*TAKE)
    screen.wait_for("queued")
    screen.type("\x03")
    assert screen.wait_ended() == 130
    assert "the snapshot goes on. To cancel it: flask snapshots cancel 1" in screen.seen
    assert "Traceback" not in screen.seen
    (listed,) = json.loads(shell.run("snapshots", "list", "--json").stdout)
    assert listed["state"] == "queued"
    assert shell.run("snapshots", "cancel", "1").returncode == 0


def test_waiting_for_a_host_without_a_worker_says_so(
    terminal: Callable[..., Terminal], customer: None
) -> None:
    screen = terminal(*TAKE)
    screen.wait_for("No worker of host “local” shows life")


def test_a_password_is_typed_twice_and_unseen(
    shell: Shell, terminal: Callable[..., Terminal]
) -> None:
    screen = terminal("users", "add", "ann@example.com", "--support")
    screen.wait_for("Password: ")
    screen.type("correct horse\n")
    screen.wait_for("Repeat for confirmation: ")
    screen.type("correct horse\n")
    assert screen.wait_ended() == 0
    assert "User ann@example.com is added." in screen.seen
    assert "correct horse" not in screen.seen
    assert "ann@example.com" in shell.run("users", "list").stdout
