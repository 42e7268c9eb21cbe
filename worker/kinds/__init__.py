"""What to put into the stream: one kind a file, chosen by the snapshot's kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.domain.errors import InvalidInput
from portal.domain.kinds import Kind
from worker.kinds import exports, ntfsclone, ova, raw, tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.kinds.image import Taking, Task

_KINDS: dict[Kind, Callable[[Task], Taking]] = {
    Kind.RAW: raw.prepare,
    Kind.TAR: tar.prepare,
    Kind.NTFSCLONE: ntfsclone.prepare,
    Kind.VMDK: exports.vmdk,
    Kind.VHD: exports.vhd,
    Kind.VHDX: exports.vhdx,
    Kind.QCOW2: exports.qcow2,
    Kind.OVA: ova.prepare,
}


def prepare(task: Task) -> Taking:
    """Open what is to be read; nothing is read yet but what planning needs."""
    kind = task.snapshot.kind
    if kind not in _KINDS:
        raise InvalidInput(f"This worker cannot make snapshots of the type “{kind}”.")
    return _KINDS[kind](task)
