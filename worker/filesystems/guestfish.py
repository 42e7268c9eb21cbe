"""guestfish, libguestfs's shell, as a process that is asked in lines.

What must always hold: guestfish, and the machine below it, end with the job, however that ends; a
command's answer is told from what a disk says by a word that was made up for that command.
"""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from worker.heartbeat import Heartbeat

_START_SECONDS = 180
_END_SECONDS = 10
_COMMAND_SECONDS = 600
_LOOK_SECONDS = 0.2
_ANSWER_MOST = 256 * 1024


class Failed(Exception):
    """guestfish refused a command, or ended."""


class Guestfish:
    """A guestfish with these disks. A context manager."""

    def __init__(
        self, disks: Sequence[str], scratch: Path, heartbeat: Heartbeat, *, kvm: bool
    ) -> None:
        self._heartbeat = heartbeat
        self._said = (scratch / "guestfish.log").open("w+b")
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(  # noqa: S603
            [
                *("setpriv", "--pdeathsig", "KILL", "guestfish", "--ro"),
                # Never guessed from the content: a raw disk may begin as a qcow2 that names files.
                *(word for disk in disks for word in ("--format=raw", "--add", disk)),
            ],
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=self._said,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(scratch),
                "LC_ALL": "C.UTF-8",
                "LIBGUESTFS_BACKEND": "direct",
                "LIBGUESTFS_TMPDIR": str(scratch),
                **({} if kvm else {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}),
            },
        )
        os.close(answers)
        self._answer = b""
        self._busy = False

    def start(self) -> None:
        """Start the machine. Raises `Failed`."""
        if self.ask("run", seconds=_START_SECONDS) is None:
            raise Failed("libguestfs did not start")

    def close(self) -> None:
        """End guestfish and the machine."""
        if self._busy:
            self._process.kill()
        if self._process.stdin is not None:
            # What it did not take may still be in there.
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        # At the end of its input it clears the folder of its sockets, which root has in /tmp.
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def let_go(self) -> None:
        """Close what is read of it, once nobody does."""
        os.close(self._answers)
        self._said.close()

    def ask(self, *words: str, seconds: float = _COMMAND_SECONDS) -> str | None:
        """A command's output; None where it failed."""
        self.tell(*words)
        return self.hear(seconds=seconds)

    def tell(self, *words: str) -> None:
        """Give a command, without waiting for it."""
        self._busy = True
        mark = secrets.token_hex(16)
        self._marks = (f"{mark} begins\n".encode(), f"{mark} ends\n".encode())
        command = " ".join([words[0], *map(_quoted, words[1:])])
        # A command that fails ends a script, but one behind a minus sign only says so: what it
        # said stands in the log, from where it was.
        self._before = self._said_so_far()
        script = f"echo {_quoted(mark + ' begins')}\n-{command}\necho {_quoted(mark + ' ends')}\n"
        stdin = self._process.stdin
        if stdin is None:
            raise Failed("guestfish is closed")
        try:
            stdin.write(script.encode())
            stdin.flush()
        except BrokenPipeError as error:
            raise Failed("guestfish has ended") from error

    def hear(self, *, seconds: float) -> str | None:
        """The output of the command that was told; None where it failed. Raises `Failed`."""
        begins, ends = self._marks
        deadline = time.monotonic() + seconds
        while ends not in self._answer:
            self._heartbeat.check()
            ready, _, _ = select.select([self._answers], [], [], _LOOK_SECONDS)
            if not ready and time.monotonic() < deadline:
                continue
            heard = os.read(self._answers, 65536) if ready else b""
            if not heard:
                raise Failed(self.last_words())
            self._answer += heard
            if len(self._answer) > _ANSWER_MOST:
                raise Failed("an answer is too long")
        self._busy = False
        output, _, self._answer = self._answer.partition(ends)
        self._said.seek(self._before)
        complaints = self._said.read().splitlines()
        failed = any(not line.startswith(b"libguestfs: warning") for line in complaints)
        return None if failed else output.partition(begins)[2].decode(errors="replace")

    def last_words(self) -> str:
        """What it complained of, for the log."""
        self._said.seek(0)
        return self._said.read()[-2000:].decode(errors="replace")

    def _said_so_far(self) -> int:
        return os.fstat(self._said.fileno()).st_size


def _quoted(word: str) -> str:
    """A word that guestfish takes as one, whatever it holds."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
