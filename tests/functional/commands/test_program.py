"""The `flask` program: from any folder, with exit codes, one line for what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.functional.commands.conftest import Shell

COMMANDS = (
    *("accounts", "database", "doctor", "reaper", "servers", "snapshots", "stores", "up"),
    *("users", "worker"),
)


def test_plain_flask_finds_every_command_from_any_folder(shell: Shell) -> None:
    listed = shell.run("servers", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.split() == ["ID", "NAME", "ACCOUNT", "SYSTEM", "HOST", "DISKS"]
    for command in COMMANDS:
        shown = shell.run(command, "--help")
        assert shown.returncode == 0, command
        assert shown.stdout.startswith(f"Usage: flask {command}")


def test_answers_and_errors_keep_apart(shell: Shell) -> None:
    added = shell.run("accounts", "add", "Example", "--json")
    assert json.loads(added.stdout)["name"] == "Example"
    assert added.stderr == ""
    again = shell.run("accounts", "add", "Example", "--json")
    assert (again.returncode, again.stdout) == (4, "")
    assert again.stderr == "Error: There is already an account named “Example”.\n"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SNAPPORT_PORT", "http", 7),
        ("SNAPPORT_DATABASE_URL", "postgresql+psycopg://u@127.0.0.1:1/none", 6),
        ("SNAPPORT_DATABASE_URL", "nonsense", 7),
        ("SNAPPORT_KEY", "nonsense", 7),
    ],
)
def test_what_is_wrong_is_one_line(shell: Shell, name: str, value: str, code: int) -> None:
    shell.environment[name] = value
    for command in (["servers", "list"], ["doctor"], ["reaper", "--once"]):
        ended = shell.run(*command)
        assert ended.returncode == (6 if command == ["doctor"] and code == 6 else code), command
        assert len(ended.stderr.splitlines()) == 1
        assert ended.stderr.startswith("Error: ")


def test_a_reader_that_leaves_early_is_no_trouble(shell: Shell) -> None:
    piped = subprocess.run(
        [
            "bash",
            "-o",
            "pipefail",
            "-c",
            f"{Path(sys.executable).with_name('flask')} up --help | true",
        ],
        env=shell.environment,
        cwd=shell.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in piped.stderr
    assert "unexpected" not in piped.stderr


@pytest.mark.parametrize("language", ["C", "POSIX", "C.UTF-8"])
def test_any_name_can_be_printed_anywhere(shell: Shell, language: str) -> None:
    shell.environment |= {"LANG": language, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    assert shell.run("accounts", "add", "サーバー").returncode == 0
    listed = shell.run("accounts", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "????" in listed.stdout
    shown = shell.run("accounts", "show", "none-such")
    assert shown.returncode == 3
    assert "Traceback" not in shown.stderr


def test_the_commands_need_neither_the_worker_nor_the_pages() -> None:
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, portal.commands; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = loaded.stdout.split()
    assert "portal.commands.worker" in modules
    unwanted = ("worker", "snapcore", "portal.pages", "portal.app")
    assert [module for module in modules if module.startswith(unwanted)] == []


def test_flask_worker_becomes_the_worker(shell: Shell) -> None:
    worker = shell.start("worker", "--host", "kvm 9")
    try:
        deadline = time.monotonic() + 60
        while True:
            words = Path(f"/proc/{worker.pid}/cmdline").read_bytes().split(b"\0")
            if words[1:5] == [b"-m", b"worker", b"--host", b"kvm 9"]:
                break
            assert worker.poll() is None, worker.communicate()
            assert time.monotonic() < deadline, words
            time.sleep(0.1)
        while "kvm 9" not in shell.run("doctor", "--json").stdout:
            assert worker.poll() is None, worker.communicate()
            assert time.monotonic() < deadline
        worker.terminate()
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.communicate()


def test_a_worker_needs_a_name(shell: Shell) -> None:
    assert shell.run("worker", "--host", "").returncode == 2
    assert shell.run("worker", "--host", "a\nb").returncode == 2
