from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portal.domain.errors import SnapportError
from portal.embedded.child import Child, Program, running

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
""",
]
PARENT = """
import sys, time
from pathlib import Path
from portal.embedded.child import Child, Program
child = Child(Program("thing", sys.argv[2:], Path(sys.argv[1])))
print(child.pid, flush=True)
time.sleep(60)
"""


def _program(tmp_path: Path, argv: list[str]) -> Program:
    return Program("thing", argv, tmp_path / "thing.log")


def _gone(pid: int, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path("/proc", str(pid)).exists():
            return True
        if ") Z " in Path("/proc", str(pid), "stat").read_text():
            return True
        time.sleep(0.02)
    return False


def test_ends_when_asked(tmp_path: Path) -> None:
    child = Child(_program(tmp_path, SLEEP))
    child.end()
    assert child.wait_ended(5)
    assert child.how_it_ended() == "by SIGTERM"


def test_who_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = Child(_program(tmp_path, STUBBORN))
    while child.last_words() != "deaf":
        time.sleep(0.02)
    child.end()
    assert not child.wait_ended(0.3)
    assert child.how_it_ended() == "by SIGKILL"


def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no room')"]
    program = Program("thing", argv, tmp_path / "thing.log", ready=lambda: False)
    with (
        pytest.raises(SnapportError, match=r"thing did not start \(exit status 1\): no room"),
        running(program),
    ):
        pass


def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    child = Child(Program("thing", SLEEP, tmp_path / "thing.log", ready=lambda: False))
    with pytest.raises(SnapportError, match="did not answer within 0 s"):
        child.wait_ready(0.2)
    child.kill()


def test_ends_with_its_parent_even_by_sigkill(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT,
            str(tmp_path / "log"),
            *SLEEP,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    with parent.stdout:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert _gone(pid)
