"""Run one job in this process and die by SIGKILL at a named point: `killed_job.py JOB POINT`.

The points stand between what is shipped: nothing of the worker knows of them.
"""

from __future__ import annotations

import os
import signal
import sys

from portal.settings import Settings
from portal.stores.swift_body import Body
from portal.work import Runtime
from worker.heartbeat import Heartbeat
from worker.jobs import run_capture, run_delete
from worker.steps import Step
from worker.upload import Upload

BEFORE_STEP = {
    "after the parts": Step.MANIFEST,
    "after the manifest": Step.INDEX,
    "before README.txt": Step.README,
    "after README.txt": Step.FINISHED,
    "deleting: after the files": Step.SWEEPING,
}


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(point: str) -> None:
    """Put the death where the point is."""
    if point in BEFORE_STEP:
        at = Heartbeat.at

        def at_or_die(self: Heartbeat, step: Step) -> None:
            if step is BEFORE_STEP[point]:
                die()
            at(self, step)

        Heartbeat.at = at_or_die
    elif point == "before the first part":
        Upload._ensure_stored = die
    elif point.startswith("mid-part "):
        # Half-way through the body of the so-many-th large part, or of the next that is not read in
        # one piece.
        number = int(point.removeprefix("mid-part "))
        read = Body.read
        bodies: list[Body] = []

        def read_or_die(self: Body, count: int = -1) -> object:
            if self.size >= 1 << 20 and not any(body is self for body in bodies):
                bodies.append(self)
            is_late = any(body is self for body in bodies[number - 1 :])
            if is_late and self._at >= self.size // 2:
                die()
            return read(self, count)

        Body.read = read_or_die
    else:
        raise SystemExit(f"no such point: {point}")


if __name__ == "__main__":
    arrange(sys.argv[2])
    runtime = Runtime.open(Settings())
    run = run_delete if sys.argv[2].startswith("deleting") else run_capture
    run(runtime, int(sys.argv[1]))
