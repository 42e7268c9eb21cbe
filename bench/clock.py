"""Times whole commands, in turns.

What must always hold: a command that fails ends the bench, it never counts as fast; the time is
that of the whole command, its start included.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class BenchFailed(Exception):
    """Nothing can be said of this run; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What one run took: wall and CPU seconds (user and system, children included)."""

    seconds: float
    cpu: float = 0.0
    said: str = ""


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Timed:
    """Run a command to its end; what it wrote to its standard output is in `said`."""
    before = os.times()
    started = time.perf_counter()
    done = subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **env} if env else None,
        check=False,
    )
    seconds = time.perf_counter() - started
    after = os.times()
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BenchFailed(f"{shlex.join(command)[:200]} failed with {done.returncode}: {last}")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Timed(seconds, cpu, done.stdout)


def shell(text: str, *, env: Mapping[str, str] | None = None) -> Timed:
    """Run a pipeline; it fails if any part of it fails."""
    return run(["bash", "-c", f"set -euo pipefail; {text}"], env=env)


@dataclass(frozen=True, slots=True)
class Turns:
    """The runs of several contenders that took turns."""

    times: dict[str, list[Timed]]

    def median(self, name: str) -> float:
        """Seconds."""
        return statistics.median(timed.seconds for timed in self.times[name])

    def cpu(self, name: str) -> float:
        """CPU seconds, median."""
        return statistics.median(timed.cpu for timed in self.times[name])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """Of each turn: how many times faster `fast` was."""
        pairs = zip(self.times[slow], self.times[fast], strict=True)
        return sorted(one.seconds / other.seconds for one, other in pairs)


def in_turns(
    contenders: Mapping[str, Callable[[], Timed]],
    rounds: int,
    say: Callable[[str], None],
) -> Turns:
    """Each contender once a round, in the same order."""
    turns = Turns({name: [] for name in contenders})
    for number in range(1, rounds + 1):
        for name, contender in contenders.items():
            timed = contender()
            turns.times[name].append(timed)
            say(f"  {number}/{rounds}  {name:<24} {timed.seconds:8.2f} s")
    return turns
