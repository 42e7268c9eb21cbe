"""The rights that deploy/systemd gives to a worker are enough for tar snapshots by the kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from portal.domain.lifecycle import SnapshotState
from portal.settings import CHECKOUT
from tests.functional.worker.archives import (
    describe,
    nothing_left,
    of_a_running_server,
    one_partition,
    unpack,
)
from tests.functional.worker.house import KILLED

if TYPE_CHECKING:
    from pathlib import Path

    from portal.records import Snapshot
    from tests.functional.worker.house import House

UNIT = CHECKOUT / "deploy/systemd/kernel-reader.conf"
NEVER = "mid-part 1000000"


def run_with(house: House, taken: Snapshot, capabilities: list[str]) -> Snapshot:
    """Run the waiting job with these alone."""
    kept = "".join(f",+{name.removeprefix('CAP_').lower()}" for name in capabilities)
    subprocess.run(
        [
            *("setpriv", f"--bounding-set=-all{kept}", "--inh-caps=-all", "--no-new-privs"),
            *(sys.executable, KILLED, str(house.job_of(taken).id), NEVER),
        ],
        env={**os.environ, **house.environment},
        check=True,
        timeout=120,
    )
    return house.look(taken)


def test_a_journal_is_replayed_and_all_files_are_read(
    sqlite_house: House, tmp_path: Path, unpacked: Path
) -> None:
    tree = of_a_running_server(sqlite_house.disk, tmp_path)
    names = re.findall(r"CapabilityBoundingSet=(.+)", UNIT.read_text())[-1].split()
    ended = run_with(sqlite_house, sqlite_house.take("tar"), names)
    assert (ended.state, ended.error) == (SnapshotState.DONE, None)
    unpack(sqlite_house, ended, unpacked)
    assert describe(unpacked) == tree
    nothing_left(sqlite_house.disk)


def test_without_them_it_is_said(sqlite_house: House, tmp_path: Path) -> None:
    """The worker's unit by itself: it reads disks, and mounts nothing."""
    one_partition(sqlite_house.disk, tmp_path / "root")
    ended = run_with(sqlite_house, sqlite_house.take("tar"), ["CAP_DAC_READ_SEARCH"])
    assert ended.state is SnapshotState.FAILED
    assert ended.error == (
        "The server's host is not set up to open file systems: take a raw snapshot instead, or"
        " ask support."
    )
    assert sqlite_house.objects() == set()
