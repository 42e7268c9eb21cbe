"""The documents and the code say the same: settings, commands, exit codes, links."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from portal.commands import COMMANDS
from portal.commands.exits import Exit
from portal.domain.kinds import Kind
from portal.domain.lifecycle import JobState, SnapshotState
from portal.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from pathlib import Path

README = CHECKOUT / "README.md"
OPERATING = CHECKOUT / "docs" / "operating.md"
ARCHITECTURE = CHECKOUT / "docs" / "architecture.md"
UNITS = sorted((CHECKOUT / "deploy" / "systemd").glob("*.service"))
FOUND = {command.name: command for command in COMMANDS}


def _command_lines() -> list[str]:
    lines = []
    for page in (README, OPERATING):
        for block in re.findall(r"^```\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            joined = block.replace("\\\n", " ")
            lines += re.findall(r"(?:^|\()(flask (?!--)[a-z].*)$", joined, re.MULTILINE)
        lines += re.findall(r"`(flask [a-z][^`]*)`", page.read_text())
    return sorted(set(lines))


@pytest.mark.parametrize("line", _command_lines())
def test_every_command_in_the_documents_can_be_given(line: str) -> None:
    alone = re.split(r"[|<>)]", line, maxsplit=1)[0]
    words = shlex.split(alone, comments=True)[1:]
    command: click.Command = FOUND[words.pop(0)]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    if isinstance(command, click.Group):
        return
    # Numbers stand where the documents say ID; what is only named needs no arguments.
    words = ["1" if word == "ID" else word for word in words]
    if words or not any(parameter.required for parameter in command.params):
        command.make_context(command.name or "", words)


def test_the_documents_name_commands_enough_to_be_checked() -> None:
    assert len(_command_lines()) > 25


def test_every_setting_has_its_line() -> None:
    page = OPERATING.read_text()
    for name in Settings.model_fields:
        assert f"SNAPPORT_{name.upper()}`" in page, name
    known = {f"SNAPPORT_{name.upper()}" for name in Settings.model_fields}
    known |= {"SNAPPORT_STORE_KEY", "SNAPPORT_DEBUG"}
    environment = (CHECKOUT / "deploy" / "snapport.env").read_text()
    for text in (page, README.read_text(), environment):
        assert set(re.findall(r"SNAPPORT_[A-Z_]+", text)) <= known


def test_every_default_is_the_codes() -> None:
    page, settings = OPERATING.read_text(), Settings()
    for name in ("host", "support_email", "sign_in_limit"):
        value = getattr(settings, name)
        assert f"| `SNAPPORT_{name.upper()}` | `{value}` |" in page
    for name in ("lease_seconds", "reap_seconds", "proxies"):
        value = getattr(settings, name)
        assert f"| `SNAPPORT_{name.upper()}` | `{value:g}` |" in page


def test_every_exit_code_is_explained() -> None:
    table = README.read_text().partition("| code | means |")[2]
    for code in Exit:
        assert re.search(rf"^\| {int(code)} \| \w", table, re.MULTILINE), code
        assert re.search(rf"(^|· ){int(code)} \w", OPERATING.read_text(), re.MULTILINE), code


def test_the_architecture_knows_every_state_and_kind() -> None:
    page = ARCHITECTURE.read_text()
    for word in (*SnapshotState, *JobState, *Kind):
        assert word.value in page


@pytest.mark.parametrize("page", [README, OPERATING, ARCHITECTURE], ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"\b(?:portal|worker|deploy|setup)/[\w/.@-]+\w/?", text):
        assert (CHECKOUT / path).exists(), path


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_start_commands_that_exist(unit: Path) -> None:
    text = unit.read_text()
    for verb in re.findall(r"^Exec\w+=\S+/flask (.*)$", text, re.MULTILINE):
        words = [word.replace("%I", "kvm-3") for word in verb.split()]
        command: click.Command = FOUND[words.pop(0)]
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        command.make_context(command.name or "", words)
    assert "User=snapport" in text
    assert "NoNewPrivileges=yes" in text
