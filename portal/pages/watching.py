"""A snapshot as people watch it: its state in words, how far it is, and what a page has seen.

What must always hold: two lines with the same `key` look the same but for their progress, and a
settled state has no progress to ask for: polling ends because the answer holds no trigger.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.domain.lifecycle import ACTIVE_SNAPSHOTS, UNSETTLED_SNAPSHOTS, JobState, SnapshotState
from portal.pages import words
from portal.records.declarative import now

if TYPE_CHECKING:
    from portal.records import Snapshot
    from portal.services.snapshots import HistoryLine

CANCELLING = "cancelling"


@dataclass(frozen=True, slots=True)
class StateWords:
    """A state for people: a word, a tone for its badge, and a sentence on what it means."""

    word: str
    tone: str
    meaning: str


STATES: dict[str, StateWords] = {
    SnapshotState.QUEUED: StateWords("Queued", "waiting", "It starts as soon as its host can."),
    SnapshotState.RUNNING: StateWords("Running", "active", "The snapshot is being taken."),
    SnapshotState.DONE: StateWords(
        "Done", "good", "Every file is stored and its checksum confirmed."
    ),
    SnapshotState.FAILED: StateWords("Failed", "bad", "Nothing was left in the store."),
    SnapshotState.BROKEN: StateWords(
        "Broken",
        "warn",
        "Some files were left in the store. "
        "A broken snapshot is never used to re-image; it can be deleted safely.",
    ),
    SnapshotState.CANCELLED: StateWords(
        "Cancelled", "quiet", "It was stopped on request. Nothing was left in the store."
    ),
    SnapshotState.DELETING: StateWords(
        "Deleting", "quiet", "Its files are being removed from the store."
    ),
    SnapshotState.GONE: StateWords("Deleted", "quiet", "It was deleted."),
    CANCELLING: StateWords(
        "Cancelling\N{HORIZONTAL ELLIPSIS}", "quiet", "It stops, and clears up after itself."
    ),
}


@dataclass(frozen=True, slots=True)
class Watched:
    """A line of the history with all that templates show of it."""

    line: HistoryLine

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot itself."""
        return self.line.snapshot

    @property
    def key(self) -> str:
        """What a page that shows this line has seen of its state."""
        job, state = self.line.job, self.snapshot.state
        if state in ACTIVE_SNAPSHOTS and job is not None and job.cancel_requested_at is not None:
            return CANCELLING
        return state.value

    @property
    def state(self) -> StateWords:
        """The state in words."""
        return STATES[self.key]

    @property
    def unsettled(self) -> bool:
        """Whether it changes by itself."""
        return self.snapshot.state in UNSETTLED_SNAPSHOTS

    @property
    def can_cancel(self) -> bool:
        """Whether there is something to cancel."""
        return self.snapshot.state in ACTIVE_SNAPSHOTS and self.key != CANCELLING

    @property
    def can_delete(self) -> bool:
        """Whether the red cross stands beside it."""
        return not self.unsettled and self.snapshot.state is not SnapshotState.GONE

    @property
    def seconds(self) -> float | None:
        """How long it took, or has been running."""
        begun = self.snapshot.started_at
        if begun is None:
            return None
        if self.snapshot.state is SnapshotState.RUNNING:
            return (now() - begun).total_seconds()
        ended = self.snapshot.finished_at
        return (ended - begun).total_seconds() if ended else None

    @property
    def percent(self) -> int | None:
        """How far the job is, 0 to 100; None where that is not known."""
        job = self.line.job
        if job is None or job.state is not JobState.RUNNING or job.bytes_total <= 0:
            return None
        # 100 is for what has ended: the last percent may hold the manifest and the README.
        return max(0, min(99, job.bytes_done * 100 // job.bytes_total))

    @property
    def step(self) -> str:
        """What the job does now."""
        job = self.line.job
        if job is None:
            return ""
        if job.state is JobState.QUEUED:
            return "Waiting to start"
        return job.step or "Starting"

    @property
    def figures(self) -> str:
        """`1.2 GiB of 4 GiB · 210 MiB/s · about 12 s left`, as far as it is known."""
        job = self.line.job
        if job is None or job.state is not JobState.RUNNING or job.bytes_total <= 0:
            return ""
        done = min(job.bytes_done, job.bytes_total)
        told = [f"{words.size(done)} of {words.size(job.bytes_total)}"]
        if job.rate > 0 and done < job.bytes_total:
            told.append(f"{words.size(job.rate)}/s")
            told.append(words.time_left((job.bytes_total - done) / job.rate))
        return " \N{MIDDLE DOT} ".join(told)

    @property
    def seen(self) -> str:
        """The state and, hashed, the progress that a page shows: the same means nothing to tell."""
        shown = f"{self.percent}|{self.step}|{self.figures}|{words.duration(self.seconds)}"
        return f"{self.key}.{hashlib.sha256(shown.encode()).hexdigest()[:12]}"

    @property
    def label(self) -> str:
        """How links and buttons name this snapshot."""
        return f"the snapshot of {words.exact_moment(self.snapshot.requested_at)}"

    @property
    def news(self) -> str:
        """What a screen reader is told when the state changes."""
        told = f"Snapshot of {words.moment(self.snapshot.requested_at)} UTC: {self.state.word}."
        return f"{told} {self.snapshot.error}" if self.snapshot.error else told
