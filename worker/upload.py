"""From the stream into the store: each part recorded, sent if it is not there, and confirmed.

What must always hold:
- A part counts as there only when the store itself says so, with our size and MD5.
- Memory is bounded: `THREADS` parts are held here (17 MiB each at most), the rest in the stream.
- The first failure stops all: no thread goes on feeding a snapshot that is lost.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING

import snapcore

from portal.domain.errors import JobCancelled
from portal.domain.names import part_name
from worker.disks.trouble import disk_trouble

if TYPE_CHECKING:
    import snapcore

    from portal.stores.interface import Store
    from worker.extents import ReadMeter
    from worker.heartbeat import Heartbeat
    from worker.kinds.image import PartStream
    from worker.ledger import Ledger

THREADS = 2
"""Two uploads at once fill what a Swift proxy takes from one client on loopback (283-315 MB/s with
two, 287-351 with four); each more would hold one more part in memory."""

PART_TYPE = "application/octet-stream"


class Upload:
    """Sends one file's stream of parts; use once."""

    def __init__(
        self,
        stream: PartStream,
        *,
        store: Store,
        ledger: Ledger,
        heartbeat: Heartbeat,
        meter: ReadMeter,
        folder: str,
        file_id: int,
    ) -> None:
        self._stream = stream
        self._store = store
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._meter = meter
        self._folder = folder
        self._file_id = file_id
        self._arrival = threading.Condition()
        self._under_way: set[str] = set()
        self._zeros: str | None = None
        self.sent = 0
        self.reused = 0

    def run(self) -> snapcore.Summary:
        """Send everything; the summary of the whole file."""
        self._heartbeat.when_stopped(self._stream.cancel)
        try:
            with ThreadPoolExecutor(THREADS, thread_name_prefix="upload") as pool:
                feeders = [pool.submit(self._feed) for _ in range(THREADS)]
                wait_for(feeders)
            self._raise_first([feeder.exception() for feeder in feeders])
            self._ledger.flush()
            with disk_trouble():
                return self._stream.finish()
        finally:
            self._heartbeat.when_stopped(None)

    def _raise_first(self, errors: list[BaseException | None]) -> None:
        """Raise the cause: a cancelled stream is only what the others saw of it."""
        self._heartbeat.check()
        happened = [error for error in errors if error is not None]
        causes = [error for error in happened if not isinstance(error, JobCancelled)]
        for error in causes or happened:
            raise error

    def _feed(self) -> None:
        try:
            while True:
                with disk_trouble():
                    part = next(self._stream, None)
                if part is None:
                    return
                self._heartbeat.check()
                self._bring(part)
        except BaseException:
            self._stream.cancel()
            raise

    def _bring(self, part: snapcore.Part) -> None:
        number, known = self._ledger.record(part)
        sent = self._ensure_stored(part, known=known)
        self._ledger.place(self._file_id, number, part)
        with self._arrival:
            self.sent += sent
            self.reused += part.size - sent
        self._heartbeat.count(
            done=self._meter.bytes_in(part.source_offset, part.source_length), sent=sent
        )

    def _ensure_stored(self, part: snapcore.Part, *, known: bool) -> int:
        """Send the part unless it stands; the bytes that went over the wire."""
        with self._arrival:
            # A run of zeros is the same part again and again: the other thread may be at it.
            self._arrival.wait_for(lambda: part.sha256 not in self._under_way)
            if part.sha256 == self._zeros:
                return 0
            self._under_way.add(part.sha256)
        try:
            name = part_name(self._folder, part.sha256)
            if known:
                there = self._store.head(name)
                if there is not None and there.size == part.size and there.etag == part.md5:
                    self._confirmed(part)
                    return 0
            self._store.put(name, part, md5=part.md5, content_type=PART_TYPE)
            self._confirmed(part)
            return part.size
        finally:
            with self._arrival:
                self._under_way.discard(part.sha256)
                self._arrival.notify_all()

    def _confirmed(self, part: snapcore.Part) -> None:
        with self._arrival:
            if part.zero:
                self._zeros = part.sha256
