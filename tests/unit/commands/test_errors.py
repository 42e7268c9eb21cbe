"""What goes wrong is one line and a code, whatever it is; help is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from portal.commands import COMMANDS
from portal.commands.exits import Exit, code_of
from portal.commands.session import Failed, told
from portal.commands.table import print_table, printable
from portal.domain import errors
from portal.vault import VaultError

if TYPE_CHECKING:
    from pathlib import Path

    from portal.settings import Settings
    from tests.unit.commands.conftest import Commands


def _all(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            found += _all(below, f"{path} {name}")
    return found


EVERY = [pair for command in COMMANDS for pair in _all(command, f"{command.name}")]


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[path for path, _ in EVERY])
def test_every_command_explains_itself(path: str, command: click.Command) -> None:
    assert command.help, path
    if not isinstance(command, click.Group):
        assert f"flask {path}" in command.help, "an example"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            explained = parameter.help or parameter.metavar or parameter.show_default
            assert explained, f"{path} {parameter.name}"


def test_whatever_reads_has_json() -> None:
    readers = {"list", "show", "check", "url", "doctor"}
    for path, command in EVERY:
        if path.split()[-1] in readers:
            assert "as_json" in {parameter.name for parameter in command.params}, path


def test_every_error_of_ours_has_its_code() -> None:
    expected = {
        errors.SnapportError: 1,
        errors.InvalidInput: 2,
        errors.NotFound: 3,
        errors.Conflict: 4,
        errors.JobCancelled: 5,
        errors.QueueUnavailable: 6,
        errors.StoreRefused: 6,
        errors.StoreUnreachable: 6,
        errors.StoreFull: 6,
        errors.NotAllowed: 1,
        errors.DiskUnavailable: 1,
        VaultError: 7,
    }
    assert {kind: int(code_of(kind("x"))) for kind in expected} == expected
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 6, 7, 130]


@given(st.text())
def test_an_error_is_one_plain_line(message: str) -> None:
    with pytest.raises(Failed) as failed, told():
        raise errors.Conflict(message)
    assert len(failed.value.format_message().splitlines()) <= 1
    assert "\x1b" not in failed.value.format_message()


def test_what_nobody_expected_is_in_the_log(flask: Commands, settings: Settings) -> None:
    flask.ok("accounts", "list")  # opens the log
    with pytest.raises(Failed, match=r"commands\.log") as failed, told():
        raise ZeroDivisionError("somewhere deep\ninside")
    assert failed.value.exit_code == 1
    assert "somewhere deep" not in failed.value.format_message()
    log = settings.data / "log" / "commands.log"
    assert "somewhere deep" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_debugging_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNAPPORT_DEBUG", "1")
    with pytest.raises(Failed), told():
        raise errors.NotFound("There is no such thing.")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "code", "says"),
    [
        ("PORT", "http", 7, "SNAPPORT_PORT"),
        ("LEASE_SECONDS", "soon", 7, "SNAPPORT_LEASE_SECONDS"),
        ("DATABASE_URL", "nonsense", 7, "SNAPPORT_DATABASE_URL"),
        ("DATABASE_URL", "oracle://x", 7, "SNAPPORT_DATABASE_URL"),
        ("REDIS_URL", "nonsense", 7, "SNAPPORT_REDIS_URL"),
        ("KEY", "nonsense", 7, "key"),
        ("KEY_FILE", "/nowhere/key", 7, "key file"),
        ("DATA", "/proc/nowhere", 7, "/proc/nowhere"),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    flask: Commands, monkeypatch: pytest.MonkeyPatch, name: str, value: str, code: int, says: str
) -> None:
    monkeypatch.setenv(f"SNAPPORT_{name}", value)
    assert says in flask.refused(code, "accounts", "list")


def test_a_database_that_is_away(
    flask: Commands, monkeypatch: pytest.MonkeyPatch, free_port: int, tmp_path: Path
) -> None:
    url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{free_port}/none"
    monkeypatch.setenv("SNAPPORT_DATABASE_URL", url)
    said = flask.refused(6, "accounts", "list")
    assert said.startswith("The database does not answer: ")
    assert "hunter2" not in said
    monkeypatch.setenv("SNAPPORT_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    assert "flask database upgrade" in flask.refused(7, "accounts", "list")
    assert flask.refused(7, "database", "check")
    flask.ok("database", "upgrade")
    flask.ok("database", "upgrade")
    assert flask.json("database", "check") == {"pending": False}
    assert flask.json("accounts", "list") == []


def test_without_redis_a_snapshot_is_asked_for_all_the_same(
    flask: Commands, customer: str, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("SNAPPORT_REDIS_URL", f"redis://127.0.0.1:{free_port}/0")
    result = flask("snapshots", "take", "web-1", "--store", "main")
    assert result.exit_code == 0
    assert "Redis cannot be reached" in result.stderr
    assert flask.json("snapshots", "list")[0]["state"] == "queued"


def test_the_doctor(flask: Commands, customer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = flask("doctor", "--json")
    assert result.exit_code == 6
    assert '"host kvm-1"' in result.stdout
    assert result.stdout.count('"ok": false') == 1
    table = flask("doctor").stdout
    assert "its worker was never seen" in table
    assert "database" in table
    monkeypatch.setenv("SNAPPORT_REDIS_URL", "redis://127.0.0.1:1/0")
    assert flask("doctor", "--json").stdout.count('"ok": false') == 2


@given(st.text())
def test_nothing_that_is_printed_commands_the_terminal(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c in "\u200c\u200d\u00a0" or c.isspace() for c in shown)
    assert not set(shown) & {chr(n) for n in (*range(32), 127, *range(128, 160), 0x202E)}


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=5))
def test_columns_line_up(rows: list[tuple[str, str]]) -> None:
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lambda text="", **_: printed.append(text))
        patch.setattr(click, "secho", lambda text="", **_: printed.append(text))
        print_table(("ONE", "TWO"), rows)
    assert len(printed) == len(rows) + 1
    width = max(cell_len(printable(one) or "-") for one, _ in [*rows, ("ONE", "")])
    place = printed[0].index("TWO")
    assert place == width + 2
