"""Commands in this process, on a database and a Redis of the test's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from portal.commands import COMMANDS
from portal.services import accounts, servers, stores
from portal.services.authority import Actor
from portal.settings import Settings
from portal.stores.config import StoreConfig
from portal.work import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


class Commands:
    """Runs `flask ARGUMENTS…` without a process."""

    def __init__(self) -> None:
        self._found = {command.name: command for command in COMMANDS}

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        """The result, whatever it is."""
        noun, *rest = arguments
        return CliRunner().invoke(self._found[noun], rest, input=stdin, prog_name=f"flask {noun}")

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """The standard output of a command that must succeed."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """What it prints with `--json`."""
        return json.loads(self.ok(*arguments, "--json", stdin=stdin))

    def refused(self, code: int, *arguments: str, stdin: str = "") -> str:
        """The one line of a command that must end with this code."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == code, result.output
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")


@pytest.fixture
def settings(
    sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The environment that the commands run in, as settings."""
    monkeypatch.setenv("SNAPPORT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SNAPPORT_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("SNAPPORT_REDIS_URL", redis_url)
    monkeypatch.setenv("SNAPPORT_HOST", "kvm-1")
    return Settings()


@pytest.fixture
def flask(settings: Settings) -> Commands:
    """Runs commands."""
    return Commands()


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    """The same database and queue, for the test's own hands."""
    opened = Runtime.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def customer(runtime: Runtime, tmp_path: Path) -> str:
    """The account “Example”, with the server “web-1” and the store “main” (in memory)."""
    support = Actor.support()
    with runtime.work() as work:
        account = accounts.add(work, support, "Example")
        servers.add(
            work,
            support,
            account=account,
            name="web-1",
            operating_system="Debian 12",
            host="kvm-1",
            disks=[("file", "/disks/web-1.raw")],
        )
        stores.add(
            work,
            support,
            account=account,
            name="main",
            config=StoreConfig("memory", f"memory:{tmp_path}", user="u", key="the secret key"),
        )
        work.commit()
    return "Example"
