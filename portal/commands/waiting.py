"""Waiting at the command line until a snapshot has settled, with a progress bar.

What must always hold: waiting changes nothing; Ctrl-C ends the waiting alone, and says so. What is
shown goes to the standard error: the answer stays alone on the standard output.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from sqlalchemy.exc import OperationalError

from portal.commands.amounts import duration, size
from portal.commands.exits import Exit
from portal.commands.session import SUPPORT, Failed
from portal.commands.table import note, printable
from portal.domain.lifecycle import UNSETTLED_SNAPSHOTS, JobState, SnapshotState
from portal.services.authority import load_snapshot
from portal.services.overview import readiness
from portal.services.snapshots import HistoryLine, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portal.records import Job
    from portal.work import Runtime

LOOK_SECONDS = 0.5
LINE_SECONDS = 10.0
"""Without a terminal: a line at least this often while bytes move."""
OUTAGE_SECONDS = 60.0
"""A database that is away for longer ends the waiting."""
NO_WORKER_SECONDS = 15.0


def wait(runtime: Runtime, line: HistoryLine) -> HistoryLine:
    """Wait until nothing works on the snapshot any more; how it ended."""
    look = _Look(runtime, line.snapshot.id)
    try:
        with _shown() as show:
            began, told = time.monotonic(), False
            while line.snapshot.state in UNSETTLED_SNAPSHOTS:
                show(line)
                if not told and time.monotonic() - began > NO_WORKER_SECONDS:
                    told = True
                    _tell_of_silent_host(runtime, line)
                time.sleep(LOOK_SECONDS)
                line = look()
            show(line)
            return line
    except KeyboardInterrupt:
        _interrupted(line)


class _Look:
    """Reads the snapshot as it is now; patient with a database that is away for a moment."""

    def __init__(self, runtime: Runtime, snapshot_id: int) -> None:
        self._runtime = runtime
        self._snapshot_id = snapshot_id
        self._answered = time.monotonic()

    def __call__(self) -> HistoryLine:
        while True:
            try:
                with self._runtime.work() as work:
                    line = line_of(work, load_snapshot(work, SUPPORT, self._snapshot_id))
            except OperationalError:
                if time.monotonic() - self._answered > OUTAGE_SECONDS:
                    raise
                time.sleep(2 * LOOK_SECONDS)
            else:
                self._answered = time.monotonic()
                return line


def progress_text(job: Job) -> str:
    """`1.20 GB of 4.29 GB, 310 MB/s, 10 s left`; an empty text before bytes move."""
    if not job.bytes_total:
        return ""
    words = [f"{size(job.bytes_done)} of {size(job.bytes_total)}"]
    left = job.bytes_total - job.bytes_done
    if job.rate > 0 and left > 0:
        words += [f"{size(job.rate)}/s", f"{duration(left / job.rate)} left"]
    return ", ".join(words)


def stage_of(line: HistoryLine) -> str:
    """What happens now: the job's step, or else the snapshot's state."""
    if line.job is None:
        return line.snapshot.state.value
    if line.job.cancel_requested_at is not None:
        return "cancelling"
    running = line.job.state is JobState.RUNNING
    return (line.job.step if running else "") or line.snapshot.state.value


@contextmanager
def _shown() -> Iterator[Callable[[HistoryLine], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        TextColumn("{task.fields[text]}", markup=False),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("queued", total=None, text="")

        def show(line: HistoryLine) -> None:
            job = line.job
            bar.update(
                task,
                description=printable(stage_of(line)),
                total=job.bytes_total if job and job.bytes_total else None,
                completed=job.bytes_done if job else 0,
                text=progress_text(job) if job else "",
            )

        yield show


class _Lines:
    """Progress where there is no terminal: a line when something changed, or some time went by."""

    def __init__(self) -> None:
        self._stage = ""
        self._at = 0.0

    def __call__(self, line: HistoryLine) -> None:
        stage = stage_of(line)
        text = progress_text(line.job) if line.job else ""
        if stage == self._stage and (not text or time.monotonic() - self._at < LINE_SECONDS):
            return
        self._stage, self._at = stage, time.monotonic()
        note(f"{stage}: {text}" if text else stage)


def _tell_of_silent_host(runtime: Runtime, line: HistoryLine) -> None:
    if line.snapshot.state is not SnapshotState.QUEUED:
        return
    with runtime.work() as work:
        ready = readiness(work, line.snapshot.server)
    if not ready.host_here:
        note(
            f"No worker of host “{ready.host}” shows life; the snapshot starts when one does"
            " (flask worker --host NAME)."
        )
    elif not ready.queue_up:
        note("Redis cannot be reached; the snapshot starts when it is back.")


def _interrupted(line: HistoryLine) -> NoReturn:
    if line.snapshot.state is SnapshotState.DELETING:
        what = "the deletion goes on by itself."
    else:
        what = f"the snapshot goes on. To cancel it: flask snapshots cancel {line.snapshot.id}"
    raise Failed(f"Stopped waiting; {what}", Exit.INTERRUPTED)
