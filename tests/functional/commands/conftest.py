"""`flask` as a person starts it: this environment's program, from a folder of no importance."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FLASK = Path(sys.executable).with_name("flask")


@dataclass
class Shell:
    """A fresh shell: nothing in the environment but what is given here."""

    environment: dict[str, str]
    folder: Path

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `flask ARGUMENTS…` to its end."""
        return subprocess.run(
            [FLASK, *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; the caller ends it."""
        return subprocess.Popen(
            [FLASK, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


class Terminal:
    """`flask` with a terminal of its own, as a person has one."""

    def __init__(self, shell: Shell, *arguments: str) -> None:
        self.pid, self._screen = pty.fork()
        if self.pid == 0:  # the child
            # As at a terminal, even where the suite itself runs in the background.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(shell.folder)
            environment = {**shell.environment, "TERM": "xterm", "COLUMNS": "120"}
            os.execve(FLASK, [str(FLASK), *arguments], environment)
        self.seen = ""
        self.code: int | None = None

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read the screen until it shows this."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"no {text!r} in {self.seen!r}"
            if not self._read():
                raise AssertionError(f"it ended without {text!r}: {self.seen!r}")

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._screen, text.encode())

    def wait_ended(self, seconds: float = 60) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, self.seen
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._screen)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], 0.5)
        if not ready:
            return True
        try:
            read = os.read(self._screen, 65536)
        except OSError:  # Linux's way of saying that nobody has the terminal any more
            return False
        self.seen += read.decode("utf-8", "replace")
        return bool(read)


@pytest.fixture
def shell(sqlite_url: str, redis_url: str, tmp_path: Path) -> Shell:
    """A shell whose Snapport has an empty database and an empty Redis, and no worker."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "SNAPPORT_DATA": str(tmp_path / "data"),
        "SNAPPORT_DATABASE_URL": sqlite_url,
        "SNAPPORT_REDIS_URL": redis_url,
    }
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Shell(environment, folder)


@pytest.fixture
def terminal(shell: Shell) -> Iterator[type[Terminal]]:
    """Makes terminals in that shell, and ends what still runs in them."""
    opened: list[Terminal] = []

    class Kept(Terminal):
        def __init__(self, *arguments: str) -> None:
            super().__init__(shell, *arguments)
            opened.append(self)

    yield Kept
    for screen in opened:
        screen.close()
