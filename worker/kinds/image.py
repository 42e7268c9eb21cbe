"""What a kind gives to be captured: the files to be made, and what is to be noted beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    import snapcore

    from portal.domain.options import Options
    from portal.records import Snapshot
    from portal.stores.interface import Store
    from portal.work import Runtime
    from worker.disks.quiet import Quiet
    from worker.extents import ReadMeter
    from worker.heartbeat import Heartbeat


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked for. What a kind opens goes onto `opened`, and is closed when all is stored.

    `quiet` watches disks that nobody may write to until all images are copied.
    """

    runtime: Runtime
    snapshot: Snapshot
    store: Store
    heartbeat: Heartbeat
    opened: ExitStack
    quiet: Quiet

    @property
    def options(self) -> Options:
        """What was chosen beside the kind."""
        return self.snapshot.choices


class PartStream(Protocol):
    """What a file's parts come from: snapcore's Stream, or one that knows more of its end."""

    def __iter__(self) -> Iterator[snapcore.Part]:
        """The parts; any number of threads may take them."""

    def __next__(self) -> snapcore.Part:
        """The next one."""

    def finish(self) -> snapcore.Summary:
        """What the file was, once all parts are taken; raises where it is not whole."""

    def cancel(self) -> None:
        """End it, from any thread, without waiting."""

    def close(self) -> None:
        """End it and wait for its threads."""


@dataclass(frozen=True, slots=True)
class Image:
    """One file, about to be made.

    `disk` counts from 1, 0 where the file is of no disk; `source_size` is what it unpacks to, in
    bytes, None where only the stream can tell. `meter` counts what has to be read for it.
    `out_of_order`: something in the file is made after what stands behind it, so that it has to be
    read back to know its hashes. `ranges`: where on the disk each piece of an `.xmbr` belongs,
    bytes. `virtual_size`: of an export, what the new machine sees, in bytes; None where the
    file has several disks.
    """

    label: str
    content_type: str
    disk: int
    source_size: int | None
    meter: ReadMeter
    open: Callable[[], PartStream]
    out_of_order: bool = False
    ranges: Sequence[tuple[int, int]] = ()
    virtual_size: int | None = None


@dataclass(frozen=True, slots=True)
class Taking:
    """Everything that a kind makes of a server.

    `plans` are the disks', in their order, where the kind looked at them; `machine` is asked for
    once all images are stored, and stands in snapshot.json under that name. `notes` are of an
    export: what the new machine has to be like.
    """

    images: list[Image]
    source: int
    plans: list[snapcore.Plan] = field(default_factory=list)
    machine: Callable[[], dict[str, Any]] = dict
    notes: Sequence[str] = ()
