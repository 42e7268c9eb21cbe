"""Moving a snapshot from state to state: checked by the table, made by a conditional update.

What must always hold: of two who move the same snapshot at once, one wins and the other is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from portal.domain.errors import Conflict
from portal.domain.lifecycle import SnapshotState, check_snapshot_move
from portal.records import Snapshot

if TYPE_CHECKING:
    from portal.work import Work


def move_snapshot(work: Work, snapshot: Snapshot, then: SnapshotState, **values: Any) -> None:
    """Move it, setting these columns with it; `Conflict` if the table or somebody else forbids."""
    check_snapshot_move(snapshot.state, then)
    moved = work.session.execute(
        update(Snapshot)
        .where(Snapshot.id == snapshot.id, Snapshot.state == snapshot.state)
        .values(state=then, **values)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount == 0:  # type: ignore[attr-defined]
        raise Conflict("Somebody else changed this snapshot just now: look again.")
    work.session.refresh(snapshot)
