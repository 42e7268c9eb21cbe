"""One process under the supervisor: how it starts, how it ends.

What must always hold:
- A child ends when its parent ends, even by SIGKILL: the kernel sends it `death_signal`.
- A child stands in a session of its own: Ctrl-C reaches the supervisor alone, which then stops its
  children in order.
- Stopping has a deadline; after it the child's whole process group is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from portal.domain.errors import SnapportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

READY_SECONDS = 120.0
"""Long, for a machine that is busy: what cannot start at all ends by itself and says so."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

LOG_KEPT = 16 * 1024**2
"""A log larger than this is set aside as `NAME.log.1` when its process starts."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how it wants to be ended."""

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool] | None = None
    """Whether it serves already; None where running is all there is to know."""
    env: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    """Run as this user; None: as whoever runs this."""
    keep: Sequence[int] = ()
    """Descriptors that it inherits (the data folder's lock)."""


class Child:
    """A running program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.started = time.monotonic()
        program.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if program.log.exists() and program.log.stat().st_size > LOG_KEPT:
            program.log.replace(program.log.with_name(program.log.name + ".1"))
        parent = os.getpid()

        def tie_to_parent() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, int(program.death_signal))
            if os.getppid() != parent:  # it ended before the line above
                os._exit(1)

        with program.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                list(program.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **program.env},
                start_new_session=True,
                pass_fds=tuple(program.keep),
                user=program.user,
                group=program.user,
                extra_groups=[] if program.user else None,
                preexec_fn=tie_to_parent,  # noqa: PLW1509 - this process has one thread
            )
        self.pid = self.process.pid

    def exit_status(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self.process.poll()

    def end(self) -> None:
        """Ask it to stop; `wait_ended` follows."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(self.program.stop_signal)

    def wait_ended(self, seconds: float) -> bool:
        """Whether it ended by itself in this time; if not it is killed, group and all."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """SIGKILL for the child's process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """The last line of its log that says something, shortened."""
        try:
            with self.program.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:200] if said else ""

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when it serves; `SnapportError` where it ends or takes too long."""
        name, log = self.program.name, self.program.log
        deadline = time.monotonic() + seconds
        while self.program.ready is not None and not self.program.ready():
            if self.exit_status() is not None:
                raise SnapportError(
                    f"{name} did not start ({self.how_it_ended()}): {self.last_words()}"
                    f" — its log is {log}"
                )
            if time.monotonic() > deadline:
                raise SnapportError(
                    f"{name} did not answer within {seconds:.0f} s; its log is {log}"
                )
            time.sleep(0.05)

    def how_it_ended(self) -> str:
        """In words."""
        status = self.exit_status()
        if status is None:
            return "still running"
        if status < 0:
            return f"by {signal.Signals(-status).name}"
        return f"exit status {status}"


@contextlib.contextmanager
def running(program: Program) -> Iterator[Child]:
    """The program, serving, for as long as the block lasts."""
    child = Child(program)
    try:
        child.wait_ready()
        yield child
    finally:
        child.end()
        child.wait_ended(program.stop_seconds)


def adopt_orphans() -> None:
    """From now on the children of a child that ends become ours, so that we can end them too."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans(known: Iterable[int]) -> int:
    """Kill and reap every child process of ours that is not `known`; how many there were."""
    kept, killed = set(known), 0
    while orphans := _children(os.getpid()) - kept:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            killed += 1
    return killed


def _children(parent: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # pid (name) state ppid …: the name may hold anything, parentheses too.
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.add(int(entry.name))
    return found
