"""Tar snapshots that end early: nothing is taken for whole, nothing stays behind."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from portal.domain.errors import Conflict
from portal.domain.lifecycle import SnapshotState
from tests.disks import linux
from tests.disks.linux import MIB
from tests.functional.worker.archives import (
    nothing_left,
    of_a_running_server,
    of_a_running_server_on_xfs,
    one_partition,
)
from worker.filesystems.scratch import clear_leftovers, scratch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.worker.house import House


def test_a_file_that_cannot_be_read_fails_all(sqlite_house: House, tmp_path: Path) -> None:
    """An archive that ends early looks whole to whoever reads a pipe."""
    one_partition(sqlite_house.disk, tmp_path / "root")
    with linux.loop(sqlite_house.disk, MIB, 255 * MIB) as device:
        linux.run("debugfs", "-w", "-R", "sif /usr/bin/tool5 block[0] 0xdeadbeef", device)
    taken = sqlite_house.snapshot("tar")
    assert taken.state is SnapshotState.FAILED
    assert taken.error == (
        "The server's files could not be read to the end, so the snapshot was stopped."
    )
    assert sqlite_house.objects() == set()
    nothing_left(sqlite_house.disk)


@pytest.mark.parametrize("make", [one_partition, of_a_running_server, of_a_running_server_on_xfs])
def test_nothing_stays_after_a_kill(sqlite_house: House, tmp_path: Path, make: Any) -> None:
    """SIGKILL in the middle of the archive; with an overlay and its daemon, and without."""
    (tmp_path / "folder").mkdir()
    make(sqlite_house.disk, tmp_path / "folder")
    sqlite_house.take("tar")
    assert sqlite_house.kill_at("mid-part 1") == -9
    nothing_left(sqlite_house.disk)
    settings = sqlite_house.runtime.settings
    folder = settings.data.resolve() / "scratch/local"
    assert list(folder.iterdir())
    clear_leftovers(settings, "local")
    assert list(folder.iterdir()) == []


def test_the_scratch_of_a_running_job_is_let_be(sqlite_house: House) -> None:
    settings = sqlite_house.runtime.settings
    with scratch(settings, "local", 7) as folder:
        (folder / "mine").touch()
        clear_leftovers(settings, "local")
        assert (folder / "mine").exists()
    assert not folder.exists()


def test_a_cancel_ends_it(sqlite_house: House, tmp_path: Path) -> None:
    one_partition(sqlite_house.disk, tmp_path / "root")
    taken = sqlite_house.take("tar")
    thread = threading.Thread(target=sqlite_house.run)
    thread.start()
    while sqlite_house.look(taken).state is SnapshotState.QUEUED:
        time.sleep(0.01)
    with suppress(Conflict):  # it may have ended just now
        sqlite_house.cancel(taken)
    thread.join()
    assert sqlite_house.look(taken).state in {SnapshotState.CANCELLED, SnapshotState.DONE}
    nothing_left(sqlite_house.disk)
