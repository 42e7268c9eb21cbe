"""The job's side of the child that mounts: what it found, its archive, and how it ended.

What must always hold: an archive whose writer did not end well is never taken for whole. A pipe's
end looks the same either way, so `TarStream.finish` asks the child.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

import snapcore
import structlog

from portal.domain.errors import DiskUnavailable, Unsuitable
from worker.filesystems.initramfs import NotKnown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from worker.filesystems.volumes import Volume
    from worker.heartbeat import Heartbeat

log = structlog.get_logger()

_ENDED = "The server's files could not be read to the end, so the snapshot was stopped."
_NOT_BEGUN = (
    "The server's host is not set up to open file systems: take a raw snapshot instead, or ask"
    " support."
)
_LOOK_SECONDS = 0.2
_PIPE = 1024 * 1024
"""Bytes; as much as anybody may ask for without a right."""
_LINE_MOST = 16 * 1024 * 1024
"""Bytes of an answer: two lists of 10,000 paths, and room."""


class Reading:
    """A child at work on one server. A context manager: the child ends with it.

    `only` these mount points are mounted; None: all.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        scratch: Path,
        heartbeat: Heartbeat,
        *,
        only: Iterable[str] | None = None,
    ) -> None:
        self._heartbeat = heartbeat
        self._answers, told = os.pipe()
        self._archive, archive = os.pipe()
        # 64 KiB by default: then tar and its reader wait for each other all the time.
        fcntl.fcntl(archive, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            self._child = subprocess.Popen(  # noqa: S603
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    *("unshare", "--mount", "--propagation", "private"),
                    *(sys.executable, "-S", "-m", "worker.filesystems.child", str(told)),
                ],
                stdin=subprocess.PIPE,
                stdout=archive,
                pass_fds=(told,),
                # Nothing of ours: no key, no address of a database.
                env={
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "LC_ALL": "C.UTF-8",
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
            )
        finally:
            os.close(told)
            os.close(archive)
        self._buffer = b""
        self._asked = {
            "scratch": str(scratch),
            "volumes": [one.as_json() for one in volumes],
            "only": None if only is None else sorted(only),
        }
        self.report: dict[str, Any] = {}
        self.result: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Wait until all is mounted. Raises `Unsuitable`."""
        try:
            self._tell(self._asked, _NOT_BEGUN)
            self.report = self._answer(_NOT_BEGUN)
            self._check_refusal()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child; what it had mounted goes with it."""
        self.close()

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._child.kill()
        if self._child.stdin is not None:
            # What the child did not take may still be in there.
            with suppress(BrokenPipeError):
                self._child.stdin.close()
        self._child.wait()
        for end in (self._answers, self._archive):
            if end >= 0:
                os.close(end)
        self._answers = self._archive = -1

    def archive(self, exclude: Sequence[str], *, gzip: bool, threads: int) -> TarStream:
        """Start the archive."""
        stream = snapcore.pipe(self._archive, gzip=gzip, threads=threads)
        os.close(self._archive)
        self._archive = -1
        self._tell({"exclude": list(exclude)})
        return TarStream(stream, self)

    def drivers(self, wanted: Sequence[str]) -> dict[str, Any]:
        """What the server starts with (`startup.look`). Raises `NotKnown`."""
        self._tell({"drivers": list(wanted)})
        answer = self._answer()
        if "not known" in answer:
            raise NotKnown(answer["not known"])
        return answer

    def end(self) -> None:
        """Wait for the archive's writer. Raises `DiskUnavailable` unless it ended well."""
        self.result = self._answer()
        if self.result["exit"] != 0:
            log.error("tar failed", exit=self.result["exit"], said=self.result["said"])
            raise DiskUnavailable(_ENDED)

    def _check_refusal(self) -> None:
        if "refused" in self.report:
            log.info("files not taken", reason=self.report.get("detail"))
            raise Unsuitable(self.report["refused"])

    def _tell(self, asked: dict[str, Any], ended: str = _ENDED) -> None:
        if self._child.stdin is None:
            raise DiskUnavailable(_ENDED)
        try:
            self._child.stdin.write(json.dumps(asked).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise DiskUnavailable(ended) from error

    def _answer(self, ended: str = _ENDED) -> dict[str, Any]:
        """What the child tells next; `ended` is what to say where it ends instead."""
        while b"\n" not in self._buffer:
            self._heartbeat.check()
            ready, _, _ = select.select([self._answers], [], [], _LOOK_SECONDS)
            if not ready:
                continue
            heard = os.read(self._answers, 65536)
            if not heard or len(self._buffer) > _LINE_MOST:
                raise DiskUnavailable(ended)
            self._buffer += heard
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Ending(Protocol):
    """Knows how the archive's writer ended."""

    def end(self) -> None:
        """Wait for it. Raises `DiskUnavailable` unless it ended well."""


class TarStream:
    """The archive's stream of parts, that ends well only if its writer did."""

    def __init__(self, stream: snapcore.Stream, reading: Ending) -> None:
        self._stream = stream
        self._reading = reading

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of the archive, and bytes of the file, in the parts that were taken."""
        return self._stream.progress

    def __iter__(self) -> Self:
        """Itself."""
        return self

    def __next__(self) -> snapcore.Part:
        """The next part."""
        return next(self._stream)

    def finish(self) -> snapcore.Summary:
        """What the file was. Raises `DiskUnavailable` where tar did not end well."""
        summary = self._stream.finish()
        self._reading.end()
        return summary

    def cancel(self) -> None:
        """End it, from any thread, without waiting."""
        self._stream.cancel()

    def close(self) -> None:
        """End it and wait for its threads."""
        self._stream.close()
